// Sends events with @aptabase/web in a page.

import { init, trackEvent } from "@aptabase/web";

export default async function ({ url, key, events, mark }) {
    init(`A-SH-${key}`, { host: url, appVersion: "1.2.0" });
    for (let i = 0; i < events; i++) await trackEvent("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028" });
}
