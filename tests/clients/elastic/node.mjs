// Sends documents with the bulk helper of @elastic/elasticsearch, and one by itself.

import { Client } from "@elastic/elasticsearch";

import { events, key, mark, url } from "../lib/client.mjs";

const client = new Client({ node: `${url}/es`, auth: { apiKey: key }, maxRetries: 5, requestTimeout: 3_000, retryOnTimeout: true });

const document = () => ({
    "@timestamp": new Date().toISOString(),
    message: `clicked ${mark()}`,
    log: { level: "warn" },
    service: { name: "shop" },
    text: "Ünïcode 😀 \u2028",
});
// A helper gives everything up that it has not sent yet where a request fails for good.
for (let start = 0; start < events; start += 20) {
    try {
        await client.helpers.bulk({
            datasource: Array.from({ length: Math.min(20, events - start) }, document),
            onDocument: () => ({ create: { _index: "logs-shop" } }),
            concurrency: 1,
            retries: 5,
            wait: 200,
            onDrop: ({ error }) => console.error(error?.reason),
        });
    } catch (error) {
        console.error(error.message);
    }
}
try {
    await client.index({ index: "logs-shop", id: `own-${Date.now()}`, document: document() });
} catch (error) {
    console.error(error.message);
}
await client.close();
