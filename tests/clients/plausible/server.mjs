// Sends events as a server does that hands on what it knows of a visitor: Plausible has no library of its own for that.

import { events, key, mark, url } from "../lib/client.mjs";

const headers = {
    "content-type": "application/json",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "x-forwarded-for": "203.0.113.7",
};

async function send(name, props) {
    const body = JSON.stringify({ name, url: "https://shop.example/cart", domain: "shop.example", props });
    try {
        await fetch(`${url}/k/${key}/api/event`, { method: "POST", headers, body });
    } catch {
        // It is lost.
    }
}

await send("pageview");
for (let i = 0; i < events; i++) await send("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028" });
