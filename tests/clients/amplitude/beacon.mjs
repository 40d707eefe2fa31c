// As Amplitude advises for a page that closes: the rest goes by `sendBeacon`.

import { flush, setTransport } from "@amplitude/analytics-browser";
import leaves from "./leaves.mjs";

export default async function (settings) {
    addEventListener("pagehide", () => {
        setTransport("beacon");
        flush();
    });
    await leaves(settings);
}

export { again } from "./leaves.mjs";
