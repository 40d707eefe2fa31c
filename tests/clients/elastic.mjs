// Elasticsearch: the bulk helpers of its clients for Node and Python, and what rsyslog and syslog-ng send to it.

import assert from "node:assert/strict";
import { syslog } from "./lib/agents.mjs";

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

function checkSyslog(events) {
    const clicked = events.filter(event => event.message.startsWith("clicked "));
    assert.ok(clicked.length > 0, JSON.stringify(events.slice(0, 3)));
    for (const event of events) {
        assert.deepEqual([event.name, event.category, event.tags.index], ["log", "checkout", "logs-shop"]);
        assert.ok(event.data.hostname && event.client_id);
    }
    assert.ok(clicked.every(event => event.level === "WARN" && event.message.endsWith(" Ünïcode 😀")));
    assert.equal(events.filter(event => event.message === "tick" && event.level === "INFO").length, 45, "equal lines");
    const text = events.find(event => event.message.startsWith("text "));
    assert.deepEqual([text.level, text.data.took], ["ERROR", 1.5]);
}

const SYSLOG = { needs: syslog, stays: true, events: 60, check: checkSyslog };

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
        "rsyslog (omelasticsearch)": { ...SYSLOG, script: ["elastic/syslog.py", "rsyslog"] },
        "syslog-ng (elasticsearch-http)": { ...SYSLOG, script: ["elastic/syslog.py", "syslog-ng"] },
    },
};
