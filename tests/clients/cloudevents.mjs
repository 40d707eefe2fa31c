// CloudEvents: the SDKs for Node and Python, in each mode. They pack events, and send nothing again.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

function check(events) {
    assert.ok(events.length > 0);
    for (const event of events) {
        assert.deepEqual([event.name, event.category], ["com.shop.clicked", "/shop"]);
        assert.match(event.client_id, /^\/shop \S+$/);
        assert.deepEqual([event.tags.subject, event.tags.mode], ["button 1", "test"]);
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5] });
    }
}

const COMMON = { check, loses: LOST_BY_EACH_FAULT };
const NODE = { ...COMMON, skip: { "answer too late": "it waits without a limit" } };

export default {
    name: "cloudevents",
    carries: (method, path) => method === "POST" && path === "/cloudevents",
    clients: {
        "cloudevents (Node), binary": { ...NODE, script: ["cloudevents/node.mjs", "binary"] },
        "cloudevents (Node), structured": { ...NODE, script: ["cloudevents/node.mjs", "structured"] },
        "cloudevents (Python), binary": { ...COMMON, script: ["cloudevents/python.py", "binary"] },
        "cloudevents (Python), structured": { ...COMMON, script: ["cloudevents/python.py", "structured"] },
        "cloudevents (Python), batch": { ...COMMON, script: ["cloudevents/python.py", "batch"] },
    },
};
