// The scripts of Plausible and Umami, as a page loads them: a script of the page's own origin that sends to another one.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Modules that start a tracker; the tag of the script has the address and the key. */
const PLAUSIBLE = `
    import { init } from "@plausible-analytics/tracker";
    // It sends nothing from an automated browser otherwise.
    window.__plausible = true;
    init({ domain: "shop.example", endpoint: document.currentScript.dataset.api, captureOnLocalhost: true });
    window.call = name => plausible(name);`;
const OLDER = `
    import Plausible from "plausible-tracker";
    const apiHost = document.currentScript.dataset.api.replace("/api/event", "");
    const { enableAutoPageviews, trackEvent } = Plausible({ domain: "shop.example", apiHost, trackLocalhost: true });
    enableAutoPageviews();
    window.call = name => trackEvent(name);`;

async function bundle(contents) {
    const stdin = { contents, resolveDir: fileURLToPath(new URL(".", import.meta.url)) };
    const built = await build({ stdin, bundle: true, write: false, format: "iife", platform: "browser", logLevel: "error" });
    return built.outputFiles[0].text;
}

/**
 * Umami's script. No registry has it, so it takes part only where TALLY_UMAMI_SCRIPT names a file: a server's /script.js, or
 * src/tracker/index.js of its repository, into which its build puts two values.
 */
const UMAMI = process.env.TALLY_UMAMI_SCRIPT;
const umami = () =>
    readFileSync(UMAMI, "utf8").replace("__COLLECT_API_HOST__", "").replace("__COLLECT_API_ENDPOINT__", "/api/send");

const plausibleTag = (url, key) => `<script defer src="/script.js" data-api="${url}/k/${key}/api/event"></script>`;

/**
 * Each has its script, the tag that loads it, and the path that it sends to. What it does with a visit: `navigation` to /second, its
 * #part, /second in its place, and back twice; `cached`, /a that comes back from /b; whether it sends the time on a page as
 * `engagement`, and whether its requests outlive the page.
 */
export const TRACKERS = {
    "@plausible-analytics/tracker": {
        script: await bundle(PLAUSIBLE),
        tag: plausibleTag,
        path: "/api/event",
        navigation: ["/first", "/second", "/first"],
        cached: ["/a", "/b", "/a"],
        engagement: true,
        keepalive: true,
    },
    // It takes each change of the history for a view, and a page that comes back for none.
    "plausible-tracker": {
        script: await bundle(OLDER),
        tag: plausibleTag,
        path: "/api/event",
        navigation: ["/first", "/second", "/second", "/second", "/first"],
        cached: ["/a", "/b"],
    },
    // It does not see going back, and takes what follows # for another page.
    ...(UMAMI && { "umami 3.1.0": {
        script: `${umami()};window.call = name => umami.track(name)`,
        tag: (url, key) => `<script defer src="/script.js" data-website-id="shop" data-host-url="${url}/k/${key}"></script>`,
        path: "/api/send",
        navigation: ["/first", "/second", "/second#part", "/second"],
        cached: ["/a", "/b"],
        keepalive: true,
    } }),
};
