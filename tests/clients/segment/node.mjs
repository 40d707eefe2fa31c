// Sends events of each kind with @segment/analytics-node.

import { Analytics } from "@segment/analytics-node";

import { events, key, mark, url } from "../lib/client.mjs";

const analytics = new Analytics({
    writeKey: key,
    host: url,
    flushAt: 20,
    flushInterval: 200,
    maxRetries: 5,
    httpRequestTimeout: 3_000,
});
const userId = "user-1";

for (let i = 0; i < events; i++) {
    const properties = { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5, null, { deep: true }] } };
    analytics.track({ userId, event: "clicked", properties });
}
analytics.identify({ userId, traits: { marker: mark(), plan: "pro" } });
analytics.group({ userId, groupId: "acme", traits: { marker: mark() } });
analytics.page({ userId, name: "Checkout", category: "shop", properties: { marker: mark() } });
analytics.screen({ userId, name: "Checkout", properties: { marker: mark() } });
analytics.alias({ userId, previousId: mark() });
function fail() {
    throw new TypeError(mark());
}
try {
    fail();
} catch (error) {
    analytics.track({ userId, event: "error", properties: { message: error.message, stack: error.stack } });
}
await analytics.closeAndFlush();
