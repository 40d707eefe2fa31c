// Sends events of each kind with @amplitude/analytics-browser in a page.

import { Identify, identify, init, setGroup, track } from "@amplitude/analytics-browser";

export const start = ({ url, key }, settings) =>
    init(key, "user-1", {
        serverUrl: `${url}/2/httpapi`,
        fetchRemoteConfig: false,
        autocapture: false,
        deviceId: "device-1",
        sessionId: 1_795_255_700_000,
        flushIntervalMillis: 200,
        ...settings,
    }).promise;

export function call({ events, mark }) {
    for (let i = 0; i < events; i++) track("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5] } });
    identify(new Identify().set("marker", mark()));
    setGroup("company", mark());
}

export default async function (settings) {
    await start(settings, { flushQueueSize: 5 });
    call(settings);
}
