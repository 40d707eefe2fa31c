// Sends events of each kind with @segment/analytics-next, which loads its settings from Tally.

import { AnalyticsBrowser } from "@segment/analytics-next";

export function load({ url, key }, options) {
    return AnalyticsBrowser.load({ writeKey: key, cdnURL: url }, options);
}

export async function send({ url, key, events, mark }, options) {
    const analytics = load({ url, key }, options);
    await analytics.ready();
    analytics.identify("user-1", { marker: mark(), plan: "pro" });
    analytics.page("shop", "Checkout", { marker: mark() });
    for (let i = 0; i < events; i++) {
        const nested = { list: [1, 2.5, null, { deep: true }] };
        analytics.track("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028", nested });
    }
    analytics.group("acme", { marker: mark() });
    analytics.alias("user-1", mark());
    function fail() {
        throw new TypeError(mark());
    }
    try {
        fail();
    } catch (error) {
        analytics.track("error", { message: error.message, stack: error.stack });
    }
}
