// OpenTelemetry: the exporters of logs over HTTP, in Node, Python and Chromium.

import assert from "node:assert/strict";

/** Events for which something holds, which must be there. */
function some(events, what, holds) {
    const found = events.filter(holds);
    assert.ok(found.length > 0, `no ${what} among ${JSON.stringify(events.map(event => [event.name, event.message]))}`);
    return found;
}

/** What every exporter sends in the same way. */
function common(events) {
    for (const event of events) {
        assert.equal(event.category, "shop");
        assert.equal(event.tags.resource["service.version"], "1.2.0");
        assert.match(event.client_id, /^[0-9a-f]{32}$/, "an id by its content");
    }
    for (const event of some(events, "record", event => event.message?.startsWith("clicked "))) {
        assert.deepEqual([event.name, event.level], ["log", "INFO"]);
        assert.deepEqual([event.user_id, event.session_id], ["user-1", "session-1"]);
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.ok(event.tags.scope, "a scope");
    }
    const levels = events.filter(event => event.message?.startsWith("level ")).map(event => event.level);
    assert.deepEqual(levels.sort(), ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"]);
    const [large] = some(events, "large record", event => event.message?.startsWith("large "));
    assert.ok(large.data.body.endsWith("Ünïcode 😀 "), "the whole body beside the message");
    assert.ok(large.level === undefined || large.level === null, "no level that nobody gave");
}

/** What the API of OpenTelemetry itself sends. */
function api(events) {
    common(events);
    const [event] = some(events, "named event", event => event.name === "checkout.finished");
    assert.deepEqual(event.data.nested, { list: [1, 2.5, "three"], deep: { true: true } });
    const [body] = some(events, "body that is an object", event => event.data?.body?.mark);
    assert.deepEqual(JSON.parse(body.message), body.data.body);
}

function javascript(raised) {
    return events => {
        api(events);
        const [thrown] = some(events, "exception", event => event.message?.startsWith("TypeError: "));
        assert.equal(thrown.level, "ERROR");
        assert.match(JSON.stringify(thrown.stack), raised);
    };
}

function python(events) {
    api(events);
    const [thrown] = some(events, "exception", event => event.message === "it failed");
    assert.equal(thrown.level, "ERROR");
    assert.match(thrown.data.exception, /^ValueError: mark/);
    assert.match(thrown.stack, /in fail\n/);
    const [traced] = some(events, "record with a trace", event => event.message?.startsWith("traced "));
    assert.deepEqual([traced.tags.trace_id, traced.tags.span_id], ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"]);
}

const LOSES = {
    "500, first 2": "500 is final by the specification",
    "413, first 1": "413 is final by the specification",
};
const COMMON = { events: 540, loses: LOSES };
const NODE = { ...COMMON, check: javascript(/fail/) };
const PYTHON = { ...COMMON, script: ["otlp/python.py"], check: python };
const BROWSER = { ...COMMON, page: "otlp/page.mjs", check: javascript(/fail/) };

export default {
    name: "otlp",
    carries: (method, path) => method === "POST" && path === "/v1/logs",
    clients: {
        "exporter-logs-otlp-proto": { ...NODE, script: ["otlp/node.mjs", "proto"] },
        "exporter-logs-otlp-proto, gzip": { ...NODE, script: ["otlp/node.mjs", "proto", "gzip"], only: ["none", "dropped after"] },
        "exporter-logs-otlp-http": { ...NODE, script: ["otlp/node.mjs", "http"] },
        "exporter-otlp-proto-http (Python)": { ...PYTHON },
        "exporter-otlp-proto-http (Python), gzip": { ...PYTHON, env: { PACKED: "gzip" }, only: ["none", "dropped after"] },
        "exporter-otlp-proto-http (Python), deflate": { ...PYTHON, env: { PACKED: "deflate" }, only: ["none", "dropped after"] },
        "exporter-logs-otlp-http, Chromium": { ...BROWSER, events: 50, patience: 12 },
        "exporter-logs-otlp-http, Chromium, page closed": { ...BROWSER, events: 5, closes: true, only: ["none"] },
    },
};
