// The calls of libraries that speak Segment's protocol, the same for each of them: events of each kind.

const nested = () => ({ list: [1, 2.5, null, { deep: true }] });
const TEXT = "Ünïcode 😀 \u2028";

/** Has a library for Node send them: it takes each call as one object. */
export function callFromNode(client, { events, mark }) {
    const userId = "user-1";
    for (let i = 0; i < events; i++) {
        client.track({ userId, event: "clicked", properties: { marker: mark(), text: TEXT, nested: nested() } });
    }
    client.identify({ userId, traits: { marker: mark(), plan: "pro" } });
    client.group({ userId, groupId: "acme", traits: { marker: mark() } });
    client.page({ userId, name: "Checkout", category: "shop", properties: { marker: mark() } });
    client.screen({ userId, name: "Checkout", properties: { marker: mark() } });
    client.alias({ userId, previousId: mark() });
    raise(mark, properties => client.track({ userId, event: "error", properties }));
}

/** Has a library for pages send them. */
export function callFromPage(analytics, { events, mark }) {
    analytics.identify("user-1", { marker: mark(), plan: "pro" });
    analytics.page("shop", "Checkout", { marker: mark() });
    for (let i = 0; i < events; i++) {
        analytics.track("clicked", { marker: mark(), text: TEXT, nested: nested() });
    }
    analytics.group("acme", { marker: mark() });
    analytics.alias("user-1", mark());
    raise(mark, properties => analytics.track("error", properties));
}

function raise(mark, track) {
    function fail() {
        throw new TypeError(mark());
    }
    try {
        fail();
    } catch (error) {
        track({ message: error.message, stack: error.stack });
    }
}
