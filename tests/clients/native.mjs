// Tally's own endpoint, called as docs/api.md says: that the harness itself sees what is lost and what is counted twice.

import assert from "node:assert/strict";

/** What a client without retries loses. */
const LOSES = Object.fromEntries(
    ["500, first 2", "503, first 2", "503, every third", "429, first 1", "429, Retry-After", "413, first 1", "dropped before"].map(
        fault => [fault, "it never repeats"],
    ),
);

export default {
    name: "native",
    carries: (method, path) => method === "POST" && path.endsWith("/events"),
    clients: {
        "native, Node, once": { script: ["native/send.mjs", "once"], events: 4, loses: LOSES },
        "native, Node, repeating": {
            script: ["native/send.mjs", "repeating"],
            events: 4,
            loses: { "413, first 1": "it cannot send less" },
            check: events => {
                assert.equal(events.length, 4);
                assert.equal(events[0].data.text, "Ünïcode 😀");
            },
        },
        "native, browser": { page: "native/page.mjs", events: 4, loses: LOSES, only: ["none", "503, first 2", "dropped after"] },
    },
};
