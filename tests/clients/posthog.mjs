// PostHog: posthog-node and posthog (PyPI) in their two protocols, and posthog-js in Chromium.

import assert from "node:assert/strict";

const NAMES = new Set(["/batch", "/i/v0/batch", "/i/v0/ai/batch", "/e", "/i/v0/e", "/i/v1/analytics/events"]);

/** Events of one name, which must be there. */
function named(events, name) {
    const found = events.filter(event => event.name === name);
    assert.ok(found.length > 0, `no event ${name} among ${[...new Set(events.map(event => event.name))]}`);
    return found;
}

/** What every library sends in the same way. */
function common(events) {
    for (const event of named(events, "clicked")) {
        assert.equal(event.user_id, "user-1");
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5, null, { deep: true }] });
        assert.ok(event.client_id, "an id");
        assert.ok(event.tags.lib_version, "a version");
        assert.ok(!("token" in event.data), "no key in the data");
    }
    for (const event of named(events, "$exception")) {
        assert.equal(event.level, "ERROR");
        assert.match(event.message, /^(TypeError|ValueError): mark/);
        const [raised] = event.stack;
        assert.ok(raised.frames.length > 0, "frames");
        assert.ok(raised.frames[0].function?.includes("fail"), `the innermost call first: ${JSON.stringify(raised.frames[0])}`);
        assert.match(event.fingerprint, /^(TypeError|ValueError) in .*fail/);
    }
}

function server(events) {
    common(events);
    assert.deepEqual(named(events, "$identify")[0].data.$set.plan, "pro");
    named(events, "$groupidentify");
    assert.ok(named(events, "anonymous").every(event => event.user_id === undefined || event.user_id === null));
}

function browser(events) {
    common(events);
    assert.match(named(events, "$pageview")[0].data.$current_url, /^http:\/\/localhost/);
    assert.ok(events.every(event => event.session_id), "a session");
}

const NODE = { script: ["posthog/node.mjs"], events: 45, check: server };
const PYTHON = { script: ["posthog/python.py"], events: 45, check: server, patience: 20 };
const V1 = { POSTHOG_CAPTURE_MODE: "v1" };

export default {
    name: "posthog",
    carries: (method, path) => method === "POST" && NAMES.has(path.replace(/\/$/, "")),
    clients: {
        "posthog-node": NODE,
        "posthog-node, v1": { ...NODE, env: V1, loses: { "413, first 1": "it drops the batch" } },
        "posthog (Python)": { ...PYTHON, loses: { "413, first 1": "it drops every 4xx but 408 and 429" } },
        "posthog (Python), gzip": { ...PYTHON, env: { GZIP: "1" }, only: ["none", "dropped after"] },
        "posthog (Python), v1": {
            ...PYTHON,
            env: V1,
            loses: { "413, first 1": "it drops the batch" },
        },
        "posthog-js": {
            page: "posthog/page.mjs",
            events: 10,
            check: browser,
            // Pauses of 3 s, 6 s and 12 s, each up to half longer. For an answer it waits 60 s.
            patience: 40,
            loses: {
                "429, first 1": "it drops every 4xx",
                "429, Retry-After": "it drops every 4xx",
                "413, first 1": "it drops every 4xx",
            },
        },
        "posthog-js, page closed": { page: "posthog/page.mjs", closes: true, events: 3, only: ["none"], check: browser },
    },
};
