// Tally's own endpoint, called as docs/api.md says: that the harness itself sees what is lost and what is counted twice.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

export default {
    name: "native",
    carries: (method, path) => method === "POST" && path.endsWith("/events"),
    clients: {
        "native, Node, once": { script: ["native/send.mjs", "once"], events: 4, loses: LOST_BY_EACH_FAULT },
        "native, Node, repeating": {
            script: ["native/send.mjs", "repeating"],
            events: 4,
            loses: { "413, first 1": "it cannot send less" },
            check: events => {
                assert.equal(events.length, 4);
                assert.equal(events[0].data.text, "Ünïcode 😀");
            },
        },
        "native, browser": { page: "native/page.mjs", events: 4, loses: LOST_BY_EACH_FAULT, only: ["none", "503, first 2", "dropped after"] },
    },
};
