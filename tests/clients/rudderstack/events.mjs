// Sends events of each kind with @rudderstack/analytics-js. The plain package loads parts of itself from RudderStack's
// servers; `bundled` has them.

import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

export async function load({ url, key }, options) {
    const analytics = new RudderAnalytics();
    analytics.load(key, url, { configUrl: url, logLevel: "ERROR", ...options });
    await new Promise(resolve => analytics.ready(resolve));
    return analytics;
}

export async function send({ url, key, events, mark }, options) {
    const analytics = await load({ url, key }, options);
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
