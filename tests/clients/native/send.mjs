// Sends each event in a request of its own, once or until it is answered.

import { app, events, key, mark, url } from "../lib/client.mjs";

const repeating = process.argv[2] === "repeating";

for (let i = 0; i < events; i++) {
    const marker = mark();
    const event = { name: "clicked", id: marker, timestamp: new Date().toISOString(), data: { marker, text: "Ünïcode 😀" } };
    for (;;) {
        const status = await fetch(`${url}/apps/${app}/events`, {
            method: "POST",
            headers: { "x-ingest-key": key },
            body: JSON.stringify(event),
            signal: AbortSignal.timeout(2_000),
        }).then(reply => reply.status, () => 0);
        if (!repeating || status === 201 || status === 413) break;
    }
}
