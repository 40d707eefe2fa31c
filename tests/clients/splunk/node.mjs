// Sends events with splunk-logging, in batches that are flushed one after another.

import splunk from "splunk-logging";

import { events, key, mark, url } from "../lib/client.mjs";

const BATCH = 20;
const logger = new splunk.Logger({ token: key, url, maxRetries: 5, batchInterval: 0, maxBatchCount: 0 });
logger.error = error => console.error(error.message ?? error);

const flush = () => new Promise(resolve => logger.flush(resolve));
for (let i = 0; i < events; i++) {
    logger.send({
        message: { message: `clicked ${mark()}`, text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5] } },
        severity: "warn",
        metadata: { source: "checkout", sourcetype: "shop", host: "web-1" },
    });
    if (i % BATCH === BATCH - 1) await flush();
}
logger.send({ message: `text ${mark()}` });
await flush();
