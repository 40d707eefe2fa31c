// Sends events with cloudevents for Node: `node.mjs binary|structured`.

import { CloudEvent, emitterFor, httpTransport, Mode } from "cloudevents";

import { events, key, mark, url } from "../lib/client.mjs";

const mode = process.argv[2] === "binary" ? Mode.BINARY : Mode.STRUCTURED;
const emit = emitterFor(httpTransport(`${url}/cloudevents`), { mode });
for (let i = 0; i < events; i++) {
    const event = new CloudEvent({
        type: "com.shop.clicked",
        source: "/shop",
        subject: "button 1",
        data: { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5] } },
        mode: "test",
    });
    try {
        await emit(event, { headers: { "x-ingest-key": key } });
    } catch (error) {
        console.error(error.message);
    }
}
