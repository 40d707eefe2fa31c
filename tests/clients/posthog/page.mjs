// Sends events of each kind with posthog-js.

import posthog from "posthog-js";

export default async function ({ url, key, events, mark }) {
    await new Promise(resolve => {
        posthog.init(key, {
            api_host: url,
            // Below, with a marker.
            capture_pageview: false,
            person_profiles: "always",
            bootstrap: { distinctID: "user-1", isIdentifiedID: true },
            // Chromium without a window is taken for a robot.
            opt_out_useragent_filter: true,
            loaded: resolve,
        });
    });
    posthog.capture("$pageview", { marker: mark() });
    for (let i = 0; i < events; i++) {
        const nested = { list: [1, 2.5, null, { deep: true }] };
        posthog.capture("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028", nested });
    }
    function fail() {
        throw new TypeError(mark());
    }
    try {
        fail();
    } catch (error) {
        posthog.captureException(error);
    }
    posthog.setPersonProperties({ marker: mark() });
    posthog.group("company", "acme", { marker: mark() });
}
