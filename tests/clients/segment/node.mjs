// Sends events of each kind with @segment/analytics-node.

import { Analytics } from "@segment/analytics-node";

import { callFromNode } from "../lib/calls.mjs";
import { events, key, mark, url } from "../lib/client.mjs";

const analytics = new Analytics({
    writeKey: key,
    host: url,
    flushAt: 20,
    flushInterval: 200,
    maxRetries: 5,
    httpRequestTimeout: 3_000,
});

callFromNode(analytics, { events, mark });
await analytics.closeAndFlush();
