// Segment: @segment/analytics-node, segment-analytics-python, and @segment/analytics-next in Chromium.

import assert from "node:assert/strict";

/** Events of one name, which must be there. */
function named(events, name) {
    const found = events.filter(event => event.name === name);
    assert.ok(found.length > 0, `no event ${name} among ${[...new Set(events.map(event => event.name))]}`);
    return found;
}

/** What every library sends in the same way. */
function common(events, library) {
    for (const event of events) {
        assert.equal(event.user_id, "user-1");
        assert.equal(event.tags.library.name, library);
        assert.ok(event.client_id, "an id");
        assert.ok(!JSON.stringify(event).includes("tly_in_"), "no key anywhere");
    }
    for (const event of named(events, "clicked")) {
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5, null, { deep: true }] });
    }
    assert.equal(named(events, "identify")[0].data.plan, "pro");
    assert.equal(named(events, "group")[0].data.groupId, "acme");
    assert.equal(named(events, "page")[0].data.name, "Checkout");
    assert.ok(named(events, "alias")[0].data.previousId, "the id before");
}

const node = events => common(events, "@segment/analytics-node");
const python = events => common(events, "analytics-python");

function browser(events) {
    common(events, "analytics.js");
    assert.match(named(events, "page")[0].data.url, /^http:\/\/localhost/);
    assert.match(named(events, "error")[0].data.message, /^mark/);
}

const TOO_LARGE = { "413, first 1": "it drops every 4xx but 408, 410, 429 and 460" };
const PYTHON = { script: ["segment/python.py"], events: 60, check: python, loses: TOO_LARGE };
const BROWSER = { page: "segment/page.mjs", events: 10, check: browser };

export default {
    name: "segment",
    carries: (method, path) => method === "POST" && /^\/v1\/(batch|[tipgasb])$/.test(path),
    clients: {
        "@segment/analytics-node": { script: ["segment/node.mjs"], events: 60, check: node, loses: TOO_LARGE },
        "segment-analytics-python": PYTHON,
        "segment-analytics-python, gzip": { ...PYTHON, env: { GZIP: "1" }, only: ["none", "dropped after"] },
        "@segment/analytics-next": {
            ...BROWSER,
            patience: 30,
            skip: { "answer too late": "it waits without a limit" },
            loses: { "413, first 1": "it drops every 4xx but 408, 410, 429 and 460" },
        },
        "@segment/analytics-next, keepalive": { ...BROWSER, page: "segment/keepalive.mjs", events: 30, only: ["none", "dropped after"] },
        "@segment/analytics-next, keepalive, page closed": {
            ...BROWSER,
            page: "segment/keepalive.mjs",
            closes: true,
            events: 3,
            only: ["none"],
        },
        "@segment/analytics-next, page closed": { ...BROWSER, closes: true, returns: true, events: 3, only: ["none"], patience: 10 },
    },
};
