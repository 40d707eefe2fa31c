// Sends events of each kind with posthog-node.

import { PostHog } from "posthog-node";

import { events, key, mark, url } from "../lib/client.mjs";

const client = new PostHog(key, {
    host: url,
    flushAt: 20,
    flushInterval: 200,
    fetchRetryCount: 5,
    fetchRetryDelay: 200,
    requestTimeout: 3_000,
});
const distinctId = "user-1";

for (let i = 0; i < events; i++) {
    const properties = { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5, null, { deep: true }] } };
    client.capture({ distinctId, event: "clicked", properties });
}
client.capture({ distinctId: "somebody", event: "anonymous", properties: { marker: mark(), $process_person_profile: false } });
client.identify({ distinctId, properties: { marker: mark(), plan: "pro" } });
client.groupIdentify({ groupType: "company", groupKey: "acme", properties: { marker: mark() } });

function fail() {
    throw new TypeError(mark());
}
try {
    fail();
} catch (error) {
    client.captureException(error, distinctId);
}
// An AI event goes to an endpoint of its own.
client.capture({ distinctId, event: "$ai_generation", properties: { marker: mark(), $ai_model: "m", $ai_input: "a".repeat(1_000) } });
// With capture v1 the pauses between two tries do not keep the process running; a server runs anyway.
const running = setInterval(() => {}, 1_000);
await client.shutdown(60_000);
clearInterval(running);
