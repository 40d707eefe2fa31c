// Aptabase: @aptabase/web in Node and Chromium, and aptabase for Python.

import assert from "node:assert/strict";

function check(events) {
    assert.ok(events.length > 0);
    for (const event of events) {
        assert.equal(event.name, "clicked");
        assert.ok(event.session_id, "a session");
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.equal(event.tags.appVersion, "1.2.0");
        assert.match(event.client_id, /^[0-9a-f]{32}$/, "an id by its content");
    }
}

const NEVER = "it sends nothing again";
const FAULTS = [
    "500, first 2",
    "503, first 2",
    "503, every third",
    "429, first 1",
    "429, Retry-After",
    "413, first 1",
    "dropped before",
];
const WEB = {
    check,
    loses: Object.fromEntries(FAULTS.map(fault => [fault, NEVER])),
    skip: { "answer too late": "it waits without a limit" },
};

export default {
    name: "aptabase",
    carries: (method, path) => method === "POST" && path.startsWith("/api/v0/event"),
    clients: {
        "@aptabase/web (Node)": { ...WEB, script: ["aptabase/node.mjs"] },
        "@aptabase/web": { ...WEB, page: "aptabase/page.mjs", events: 5, only: ["none"] },
        "aptabase (Python)": { script: ["aptabase/python.py"], events: 40, check },
    },
};
