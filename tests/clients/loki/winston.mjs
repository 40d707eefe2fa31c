// Sends lines with winston-loki, as JSON or as protobuf in snappy: `winston.mjs [protobuf]`.

import { createLogger, format } from "winston";
import LokiTransport from "winston-loki";

import { events, key, mark, url } from "../lib/client.mjs";

const transport = new LokiTransport({
    host: url,
    basicAuth: `shop:${key}`,
    json: process.argv[2] !== "protobuf",
    // It escapes no quotes in protobuf.
    labels: { app: "shop", env: process.argv[2] === "protobuf" ? "prod" : 'a"b\\c' },
    format: format.json(),
    interval: 1,
    timeout: 3_000,
    gracefulShutdown: false,
    onConnectionError: error => console.error(error.message ?? error),
});
// After a failure it rests for a minute, without a setting for it.
transport.batcher.circuitBreakerInterval = 300;
const logger = createLogger({ level: "debug", transports: [transport] });

for (let i = 0; i < events; i++) logger.warn(`clicked ${mark()}`, { text: "Ünïcode 😀 \u2028", took: 1.5 });
logger.error(`text ${mark()}`);
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
await pause(1_500);
const waits = () => transport.batcher.batch.streams.length > 0 || transport.batcher.batchesSending > 0;
for (let i = 0; i < 120 && waits(); i++) await pause(250);
process.exit(0);
