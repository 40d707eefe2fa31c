// The page closes before the library has sent anything, as soon as its events are in the browser's storage.

import { call, start } from "./page.mjs";

const LATER = { flushIntervalMillis: 60_000, flushQueueSize: 100 };

export default async function (settings) {
    await start(settings, LATER);
    call(settings);
    const kept = () => JSON.parse(localStorage[`AMP_unsent_${settings.key.slice(0, 10)}`] ?? "[]").length;
    // The last two are of other kinds than the many.
    while (kept() < settings.events + 2) await new Promise(resolve => setTimeout(resolve, 10));
}

/** Sends what the last visit left. */
export const again = settings => start(settings);
