// Sends events with plausible-tracker in a page.

import Plausible from "plausible-tracker";

export default async function ({ url, key, events, mark }) {
    const { trackPageview, trackEvent } = Plausible({ domain: "shop.example", apiHost: `${url}/k/${key}`, trackLocalhost: true });
    await new Promise(callback => trackPageview({}, { callback }));
    for (let i = 0; i < events; i++) {
        await new Promise(callback => trackEvent("clicked", { callback, props: { marker: mark(), text: "Ünïcode 😀 \u2028" } }));
    }
}
