// Aptabase: @aptabase/web in Node and Chromium, and aptabase for Python.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

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

const WEB = {
    check,
    loses: LOST_BY_EACH_FAULT,
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
