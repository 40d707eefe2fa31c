// Sends events of each kind with mixpanel-browser.

import mixpanel from "mixpanel-browser";

function init({ url, key }) {
    mixpanel.init(key, { api_host: url, batch_flush_interval_ms: 500, batch_request_timeout_ms: 3_000 });
}

// It keeps what it has not sent for the next visit.
export const again = init;

export default async function ({ url, key, events, fault, mark }) {
    init({ url, key });
    mixpanel.identify("user-1");
    // An event is safe from the page's end once it is in the library's storage.
    const kept = [];
    const track = (name, properties) => kept.push(new Promise(resolve => mixpanel.track(name, properties, resolve)));
    document.title = mark();
    mixpanel.track_pageview();
    // It has no callback.
    const stored = () => Object.values(localStorage).some(text => text.includes(document.title));
    for (const end = Date.now() + 2_000; !stored() && Date.now() < end; ) await new Promise(resolve => setTimeout(resolve, 5));
    for (let i = 0; i < events; i++) {
        const nested = { list: [1, 2.5, null, { deep: true }] };
        track("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028", nested });
    }
    function fail() {
        throw new TypeError(mark());
    }
    try {
        fail();
    } catch (error) {
        track("error", { message: error.message, stack: error.stack });
    }
    await Promise.all(kept);
    // Updates of profiles have neither an id nor a time, so a repeated one counts twice.
    if (fault !== "none") return;
    mixpanel.people.set({ plan: "pro", marker: mark() });
    mixpanel.get_group("company", "acme").set({ marker: mark() });
}
