// Sends events of each kind with @rudderstack/rudder-sdk-node.

import RudderAnalytics from "@rudderstack/rudder-sdk-node";

import { callFromNode } from "../lib/calls.mjs";
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

callFromNode(client, { events, mark });
// A flush sends one batch, after those that are under way.
while (client.queue.length > 0) await client.flush();
await client.flush();
