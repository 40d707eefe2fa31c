// Elasticsearch: the bulk helpers of its clients for Node and Python.

import assert from "node:assert/strict";

function check(events) {
    assert.ok(events.length > 0);
    for (const event of events) {
        assert.match(event.message, /^clicked /);
        assert.deepEqual([event.name, event.level, event.category], ["log", "WARN", "shop"]);
        assert.equal(event.tags.index, "logs-shop");
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.ok(event.client_id, "an id of its own or by its content");
    }
}

const FINAL = "this status is final for its transport";

export default {
    name: "elastic",
    carries: (method, path) => ["POST", "PUT"].includes(method) && /\/(_bulk|_doc|_create)(\/|$)/.test(path),
    clients: {
        "@elastic/elasticsearch": {
            script: ["elastic/node.mjs"],
            events: 60,
            check,
            loses: { "500, first 2": FINAL, "429, first 1": FINAL, "429, Retry-After": FINAL, "413, first 1": FINAL },
        },
        "elasticsearch (Python)": {
            script: ["elastic/python.py"],
            events: 60,
            check,
            loses: { "500, first 2": FINAL, "413, first 1": FINAL },
        },
    },
};
