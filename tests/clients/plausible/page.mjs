// Sends events with @plausible-analytics/tracker in a page.

import { init, track } from "@plausible-analytics/tracker";

export default async function ({ url, key, events, mark }) {
    // It sends nothing from an automated browser otherwise.
    window.__plausible = true;
    init({ domain: "shop.example", endpoint: `${url}/k/${key}/api/event`, captureOnLocalhost: true });
    for (let i = 0; i < events; i++) {
        await new Promise(callback => track("clicked", { callback, props: { marker: mark(), text: "Ünïcode 😀 \u2028" } }));
    }
}
