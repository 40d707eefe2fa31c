// Sends events with @umami/node.

import { Umami } from "@umami/node";

import { events, key, mark, url } from "../lib/client.mjs";

const umami = new Umami({ websiteId: "shop", hostUrl: `${url}/k/${key}` });
const sent = async call => {
    try {
        await call();
    } catch {
        // It is lost.
    }
};
const page = { hostname: "shop.example", url: "/cart", title: "Cart" };
await sent(() => umami.track({ ...page, referrer: "https://example.org/" }));
for (let i = 0; i < events; i++) {
    await sent(() => umami.track({ ...page, name: "clicked", data: { marker: mark(), text: "Ünïcode 😀 \u2028" } }));
}
await sent(() => umami.identify({ plan: "pro" }));
