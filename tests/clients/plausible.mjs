// Plausible: @plausible-analytics/tracker, plausible-tracker and plausible-client in Chromium; django-plausible-proxy and what
// any server posts to its events API.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

/** What every client sends in the same way. */
function common(events, site) {
    const clicked = events.filter(event => event.name === "clicked");
    assert.ok(clicked.length > 0, `no event clicked among ${[...new Set(events.map(event => event.name))]}`);
    for (const event of clicked) {
        assert.equal(event.category, site);
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.match(event.session_id, /^v[0-9a-f]{32}$/);
    }
    assert.equal(new Set(clicked.map(event => event.session_id)).size, 1, "one visitor");
    assert.ok(events.every(event => !JSON.stringify(event).includes("tly_in_")), "no key anywhere");
}

function page(events) {
    common(events, "shop.example");
    const [view] = events.filter(event => event.name === "pageview");
    assert.equal(view.data.browser, "Chrome");
    assert.equal(view.data.device, "desktop");
    assert.ok(view.data.path.startsWith("/"), view.data.path);
}

function server(events) {
    common(events, "shop.example");
    assert.equal(events.find(event => event.name === "pageview").data.browser, "Firefox");
    assert.ok(events.every(event => event.data.path === "/cart" && !JSON.stringify(event).includes("203.0.113")));
}

const TWICE = { "every one twice": "its events have no id, and it sends none twice" };
const PAGE = { check: page, events: 5, only: ["none"] };

export default {
    name: "plausible",
    carries: (method, path) => method === "POST" && path.endsWith("/api/event"),
    clients: {
        "@plausible-analytics/tracker": { ...PAGE, page: "plausible/page.mjs" },
        "plausible-tracker": { ...PAGE, page: "plausible/older.mjs" },
        "plausible-client": { ...PAGE, page: "plausible/client.mjs" },
        "django-plausible-proxy": { script: ["plausible/view.py"], check: server, loses: LOST_BY_EACH_FAULT, skip: TWICE },
        "events API (fetch in Node)": {
            script: ["plausible/server.mjs"],
            check: server,
            loses: LOST_BY_EACH_FAULT,
            skip: { ...TWICE, "answer too late": "it waits without a limit" },
        },
    },
};
