// Sends documents with the bulk helper of @elastic/elasticsearch, and one by itself.

import { Client } from "@elastic/elasticsearch";

import { events, key, mark, url } from "../lib/client.mjs";

const client = new Client({ node: `${url}/es`, auth: { apiKey: key }, maxRetries: 5, requestTimeout: 3_000 });

const document = () => ({
    "@timestamp": new Date().toISOString(),
    message: `clicked ${mark()}`,
    log: { level: "warn" },
    service: { name: "shop" },
    text: "Ünïcode 😀 \u2028",
});
const documents = Array.from({ length: events }, document);
try {
    const done = await client.helpers.bulk({
        datasource: documents,
        onDocument: () => ({ create: { _index: "logs-shop" } }),
        flushBytes: 3_000,
        concurrency: 1,
        retries: 5,
        wait: 200,
        onDrop: ({ error }) => console.error(error?.reason),
    });
    console.error(`${done.successful} of ${done.total}`);
} catch (error) {
    console.error(error.message);
}
try {
    await client.index({ index: "logs-shop", id: `own-${Date.now()}`, document: document() });
} catch (error) {
    console.error(error.message);
}
await client.close();
