// Segment: @segment/analytics-node, segment-analytics-python, and @segment/analytics-next in Chromium.

import { called, calledFromPage } from "./lib/called.mjs";

const node = events => called(events, "@segment/analytics-node");
const python = events => called(events, "analytics-python");
const browser = events => calledFromPage(events, "analytics.js");

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
