// Sends events of each kind with @rudderstack/analytics-js. The plain package loads parts of itself from RudderStack's
// servers; `bundled` has them.

import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

import { callFromPage } from "../lib/calls.mjs";

export async function load({ url, key }, options) {
    const analytics = new RudderAnalytics();
    analytics.load(key, url, { configUrl: url, logLevel: "ERROR", ...options });
    await new Promise(resolve => analytics.ready(resolve));
    return analytics;
}

export async function send({ url, key, events, mark }, options) {
    const analytics = await load({ url, key }, options);
    callFromPage(analytics, { events, mark });
}
