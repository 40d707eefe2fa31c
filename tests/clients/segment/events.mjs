// Sends events of each kind with @segment/analytics-next, which loads its settings from Tally.

import { AnalyticsBrowser } from "@segment/analytics-next";

import { callFromPage } from "../lib/calls.mjs";

export function load({ url, key }, options) {
    return AnalyticsBrowser.load({ writeKey: key, cdnURL: url }, options);
}

export async function send({ url, key, events, mark }, options) {
    const analytics = load({ url, key }, options);
    await analytics.ready();
    callFromPage(analytics, { events, mark });
}
