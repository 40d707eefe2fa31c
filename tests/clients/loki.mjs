// Loki: winston-loki, pino-loki, python-logging-loki and loki-logger-handler.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

function common(events) {
    const clicked = events.filter(event => event.message?.startsWith("clicked "));
    assert.ok(clicked.length > 0, JSON.stringify(events.slice(0, 3)));
    for (const event of clicked) {
        assert.deepEqual([event.name, event.level, event.category], ["log", "WARN", "shop"]);
        assert.equal(event.tags.app, "shop");
        assert.ok(['a"b\\c', "prod"].includes(event.tags.env), event.tags.env);
        assert.match(event.client_id, /^[0-9a-f]{32}$/, "an id by its content");
    }
    const text = events.find(event => event.message?.startsWith("text "));
    assert.equal(text?.level, "ERROR");
    return clicked;
}

function javascript(events) {
    for (const event of common(events)) {
        assert.deepEqual([event.data.text, event.data.took], ["Ünïcode 😀 \u2028", 1.5]);
    }
}

const NO_LIMIT = { "answer too late": "it waits without a limit" };
const WINSTON = { script: ["loki/winston.mjs"], events: 60, check: javascript };

export default {
    name: "loki",
    carries: (method, path) => method === "POST" && path === "/loki/api/v1/push",
    clients: {
        "winston-loki": WINSTON,
        "winston-loki, protobuf": { ...WINSTON, script: ["loki/winston.mjs", "protobuf"] },
        "pino-loki": { script: ["loki/pino.mjs"], events: 60, check: javascript, loses: LOST_BY_EACH_FAULT },
        "python-logging-loki": {
            script: ["loki/python.py", "logging-loki"],
            check: common,
            loses: LOST_BY_EACH_FAULT,
            skip: NO_LIMIT,
        },
        "loki-logger-handler": {
            script: ["loki/python.py", "logger-handler"],
            events: 60,
            check: common,
            loses: LOST_BY_EACH_FAULT,
            skip: NO_LIMIT,
        },
    },
};
