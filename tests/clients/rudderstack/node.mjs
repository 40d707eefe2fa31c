// Sends events of each kind with @rudderstack/rudder-sdk-node.

import RudderAnalytics from "@rudderstack/rudder-sdk-node";

import { events, key, mark, url } from "../lib/client.mjs";

const client = new RudderAnalytics(key, {
    dataPlaneUrl: url,
    flushInterval: 200,
    timeout: 3_000,
    gzip: process.env.GZIP !== "0",
    logLevel: "error",
    // Without it, a batch that is refused for good ends the process.
    errorHandler: () => {},
});
const userId = "user-1";

for (let i = 0; i < events; i++) {
    const properties = { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5, null, { deep: true }] } };
    client.track({ userId, event: "clicked", properties });
}
client.identify({ userId, traits: { marker: mark(), plan: "pro" } });
client.group({ userId, groupId: "acme", traits: { marker: mark() } });
client.page({ userId, name: "Checkout", category: "shop", properties: { marker: mark() } });
client.screen({ userId, name: "Checkout", properties: { marker: mark() } });
client.alias({ userId, previousId: mark() });
function fail() {
    throw new TypeError(mark());
}
try {
    fail();
} catch (error) {
    client.track({ userId, event: "error", properties: { message: error.message, stack: error.stack } });
}
// A flush sends one batch, after those that are under way.
while (client.queue.length > 0) await client.flush();
await client.flush();
