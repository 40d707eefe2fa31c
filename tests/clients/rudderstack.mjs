// RudderStack: @rudderstack/rudder-sdk-node, rudder-sdk-python, and @rudderstack/analytics-js in Chromium.

import assert from "node:assert/strict";

import { called, calledFromPage } from "./lib/called.mjs";

const node = events => called(events, "analytics-node");
const python = events => called(events, "analytics-python");

function browser(events) {
    calledFromPage(events, "RudderLabs JavaScript SDK");
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
