// Umami: @umami/node, and umami-analytics for Python.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

function check(events) {
    const clicked = events.filter(event => event.name === "clicked");
    assert.ok(clicked.length > 0, `no event clicked among ${[...new Set(events.map(event => event.name))]}`);
    for (const event of clicked) {
        assert.equal(event.category, "shop");
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.equal(event.data.path, "/cart");
        assert.match(event.session_id, /^v[0-9a-f]{32}$/);
    }
    assert.equal(new Set(clicked.map(event => event.session_id)).size, 1, "one visitor");
    assert.equal(events.find(event => event.name === "pageview").data.referrer_host, "example.org");
    assert.ok(events.every(event => !/tly_in_|203\.0\.113/.test(JSON.stringify(event))), "neither key nor address anywhere");
}

const CLIENT = {
    check,
    loses: LOST_BY_EACH_FAULT,
    skip: { "every one twice": "its events have no id, and it sends none twice" },
};

export default {
    name: "umami",
    carries: (method, path) => method === "POST" && path.endsWith("/api/send"),
    clients: {
        "@umami/node": {
            ...CLIENT,
            script: ["umami/node.mjs"],
            skip: { ...CLIENT.skip, "answer too late": "it waits without a limit" },
        },
        "umami-analytics (Python)": { ...CLIENT, script: ["umami/python.py"] },
    },
};
