// Sends events with plausible-client in a page.

import { Plausible } from "plausible-client";

export default async function ({ url, key, events, mark }) {
    const plausible = new Plausible({ domain: "shop.example", apiHost: `${url}/k/${key}` });
    await plausible.sendEvent("pageview");
    for (let i = 0; i < events; i++) await plausible.trackEvent("clicked", { props: { marker: mark(), text: "Ünïcode 😀 \u2028" } });
}
