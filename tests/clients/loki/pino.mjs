// Sends lines with pino-loki.

import pino from "pino";
import { pinoLoki } from "pino-loki";

import { events, key, mark, url } from "../lib/client.mjs";

const stream = pinoLoki({
    host: url,
    basicAuth: { username: "shop", password: key },
    labels: { app: "shop", env: 'a"b\\c' },
    batching: { interval: 1 },
    timeout: 3_000,
});
const logger = pino({ level: "debug" }, stream);
for (let i = 0; i < events; i++) logger.warn({ text: "Ünïcode 😀 \u2028", took: 1.5 }, `clicked ${mark()}`);
logger.error(`text ${mark()}`);
await new Promise(resolve => setTimeout(resolve, 1_500));
await new Promise(resolve => {
    stream.on("close", resolve);
    stream.end();
});
