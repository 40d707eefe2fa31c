// Amplitude: @amplitude/analytics-browser, @amplitude/analytics-node and amplitude-analytics.

import assert from "node:assert/strict";

function check(events) {
    const clicked = events.filter(event => event.name === "clicked");
    assert.ok(clicked.length > 0, JSON.stringify(events.slice(0, 3)));
    for (const event of clicked) {
        assert.deepEqual([event.user_id, event.session_id], ["user-1", "1795255700000"]);
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5] });
        assert.equal(event.tags.device_id, "device-1");
        assert.match(event.tags.library, /^amplitude-/);
        assert.ok(event.client_id, "its insert_id");
    }
    assert.equal(events.filter(event => event.name === "$identify").length > 0, true);
}

const DROPS = { "dropped before": "it drops a batch whose connection ends without an answer" };
const COMMON = { events: 60, check, patience: 35, loses: DROPS };
const NODE = { ...COMMON, script: ["amplitude/node.mjs"] };

const PAGE = { ...COMMON, page: "amplitude/page.mjs", events: 12 };

const CLOSED = { closes: true, only: ["none"] };

export default {
    name: "amplitude",
    carries: (method, path) => method === "POST" && ["/2/httpapi", "/batch"].includes(path),
    clients: {
        "@amplitude/analytics-browser": { ...PAGE, skip: { "answer too late": "it waits without a limit" } },
        "@amplitude/analytics-browser, page closed": { ...PAGE, ...CLOSED, page: "amplitude/leaves.mjs", returns: true },
        "@amplitude/analytics-browser, sendBeacon": { ...PAGE, ...CLOSED, page: "amplitude/beacon.mjs", returns: true },
        "@amplitude/analytics-node": NODE,
        "@amplitude/analytics-node, batch": { ...NODE, script: ["amplitude/node.mjs", "batch"], only: ["none", "dropped after"] },
        "amplitude-analytics (Python)": { ...COMMON, script: ["amplitude/python.py"] },
    },
};
