// Mixpanel: mixpanel (npm and PyPI), and mixpanel-browser in Chromium.

import assert from "node:assert/strict";
import { LOST_BY_EACH_FAULT } from "./lib/faults.mjs";

const NAMES = new Set(["/track", "/import", "/engage", "/groups"]);

/** Events of one name, which must be there. */
function named(events, name) {
    const found = events.filter(event => event.name === name);
    assert.ok(found.length > 0, `no event ${name} among ${[...new Set(events.map(event => event.name))]}`);
    return found;
}

/** What every library sends in the same way. */
function common(events, user, library) {
    for (const event of named(events, "clicked")) {
        assert.equal(event.user_id, user);
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5, null, { deep: true }] });
        assert.equal(event.tags.mp_lib, library);
        assert.ok(event.tags.$lib_version, "a version");
        assert.ok(!("token" in event.data), "no key in the data");
    }
    assert.ok(named(events, "$engage").some(({ data }) => data.$set?.plan === "pro"));
    assert.deepEqual(named(events, "$groups")[0].data.$group_id, "acme");
    assert.ok(events.every(event => !JSON.stringify(event).includes("tly_in_")), "no key anywhere");
}

function node(events) {
    common(events, "user-1", "node");
    assert.equal(named(events, "imported")[0].timestamp, "2026-11-20T10:00:00.123Z");
    assert.ok(named(events, "$create_alias")[0].data.alias.startsWith("mark"));
}

function python(events) {
    common(events, "user-1", "python");
    for (const event of named(events, "clicked")) assert.match(event.client_id, /^[0-9a-f]{32}$/);
    assert.match(named(events, "imported")[0].timestamp, /^2026-11-20T10:00:00/);
}

function browser(events) {
    common(events, "user-1", "web");
    for (const event of named(events, "clicked")) assert.ok(event.client_id, "an id");
    assert.match(named(events, "$mp_web_page_view")[0].data.current_page_title, /^mark/);
    assert.match(named(events, "error")[0].data.message, /^mark/);
}

const NODE = {
    script: ["mixpanel/node.mjs"],
    check: node,
    skip: { "every one twice": "its events have no id, and it sends none twice" },
    loses: LOST_BY_EACH_FAULT,
};
const PYTHON = {
    script: ["mixpanel/python.py"],
    check: python,
    loses: { "413, first 1": "it raises an error", "429, first 1": "it raises an error" },
};

export default {
    name: "mixpanel",
    carries: (_, path) => NAMES.has(path.replace(/\/$/, "")),
    clients: {
        "mixpanel (Node)": NODE,
        "mixpanel (Python)": PYTHON,
        "mixpanel (Python), buffered": { ...PYTHON, env: { BUFFERED: "1" }, events: 120 },
        "mixpanel-browser": {
            page: "mixpanel/page.mjs",
            events: 10,
            check: browser,
            patience: 20,
            loses: { "dropped before": "without a status, while online, it drops the batch" },
        },
        "mixpanel-browser, page closed": {
            page: "mixpanel/page.mjs",
            closes: true,
            returns: true,
            events: 3,
            only: ["none"],
            patience: 10,
        },
    },
};
