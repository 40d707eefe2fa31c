// RudderStack: @rudderstack/rudder-sdk-node, rudder-sdk-python, and @rudderstack/analytics-js in Chromium.

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

const node = events => common(events, "analytics-node");
const python = events => common(events, "analytics-python");

function browser(events) {
    common(events, "RudderLabs JavaScript SDK");
    assert.match(named(events, "page")[0].data.url, /^http:\/\/localhost/);
    assert.match(named(events, "error")[0].data.message, /^mark/);
    assert.ok(events.every(event => event.session_id), "a session");
}

const TOO_LARGE = { "413, first 1": "it drops every 4xx but 429" };
const PYTHON = { script: ["rudderstack/python.py"], events: 60, check: python };
const BROWSER = { page: "rudderstack/page.mjs", events: 10, check: browser };

export default {
    name: "rudderstack",
    carries: (method, path) => method === "POST" && /^\/(beacon\/)?v1\/(batch|track|page|identify|group|alias)$/.test(path),
    clients: {
        "rudder-sdk-node": { script: ["rudderstack/node.mjs"], events: 60, check: node, loses: TOO_LARGE },
        "rudder-sdk-node, plain": {
            script: ["rudderstack/node.mjs"],
            env: { GZIP: "0" },
            events: 60,
            check: node,
            only: ["none", "dropped after"],
        },
        "rudder-sdk-python": { ...PYTHON, loses: TOO_LARGE },
        "rudder-sdk-python, plain": { ...PYTHON, env: { GZIP: "0" }, only: ["none", "dropped after"] },
        "@rudderstack/analytics-js": { ...BROWSER, patience: 30, loses: TOO_LARGE },
        "@rudderstack/analytics-js, batches": { ...BROWSER, page: "rudderstack/batches.mjs", patience: 30, loses: TOO_LARGE },
        "@rudderstack/analytics-js, beacon": { ...BROWSER, page: "rudderstack/beacon.mjs", only: ["none"] },
        "@rudderstack/analytics-js, page closed": { ...BROWSER, closes: true, returns: true, events: 3, only: ["none"], patience: 10 },
        "@rudderstack/analytics-js, beacon, page closed": {
            ...BROWSER,
            page: "rudderstack/beacon.mjs",
            closes: true,
            returns: true,
            events: 3,
            only: ["none"],
            patience: 10,
        },
    },
};
