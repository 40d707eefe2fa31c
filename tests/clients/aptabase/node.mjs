// Sends events with @aptabase/web, which runs in Node too.

import { init, trackEvent } from "@aptabase/web";

import { events, key, mark, url } from "../lib/client.mjs";

init(`A-SH-${key}`, { host: url, appVersion: "1.2.0" });
for (let i = 0; i < events; i++) await trackEvent("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028" });
