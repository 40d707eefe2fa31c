// What the calls of calls.mjs and calls.py must have become.

import assert from "node:assert/strict";

/** Events of one name, which must be there. */
function named(events, name) {
    const found = events.filter(event => event.name === name);
    assert.ok(found.length > 0, `no event ${name} among ${[...new Set(events.map(event => event.name))]}`);
    return found;
}

/** What every library sends in the same way. */
export function called(events, library) {
    for (const event of events) {
        assert.equal(event.user_id, "user-1");
        assert.equal(event.tags.library.name, library);
        assert.ok(event.client_id, "an id");
        assert.ok(!JSON.stringify(event).includes("tly_in_"), "no key anywhere");
    }
    for (const event of named(events, "clicked")) {
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5, null, { deep: true }] });
    }
    assert.equal(named(events, "identify")[0].data.plan, "pro");
    assert.equal(named(events, "group")[0].data.groupId, "acme");
    assert.equal(named(events, "page")[0].data.name, "Checkout");
    assert.ok(named(events, "alias")[0].data.previousId, "the id before");
}

/** What a library for pages sends beyond that. */
export function calledFromPage(events, library) {
    called(events, library);
    assert.match(named(events, "page")[0].data.url, /^http:\/\/localhost/);
    assert.match(named(events, "error")[0].data.message, /^mark/);
}
