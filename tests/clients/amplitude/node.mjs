// Sends events of each kind with @amplitude/analytics-node: `node.mjs [batch]`.

import { Identify, identify, init, setGroup, track } from "@amplitude/analytics-node";

import { events, key, mark, url } from "../lib/client.mjs";

const useBatch = process.argv[2] === "batch";
await init(key, {
    serverUrl: `${url}${useBatch ? "/batch" : "/2/httpapi"}`,
    useBatch,
    flushQueueSize: 20,
    flushIntervalMillis: 200,
}).promise;

const who = { user_id: "user-1", device_id: "device-1", session_id: 1_795_255_700_000 };
const sent = [];
for (let i = 0; i < events; i++) {
    sent.push(track("clicked", { marker: mark(), text: "Ünïcode 😀 \u2028", nested: { list: [1, 2.5] } }, who).promise);
}
sent.push(identify(new Identify().set("marker", mark()), who).promise);
sent.push(setGroup("company", mark(), who).promise);
// `flush` would send everything at once, and nothing of it again.
await Promise.all(sent);
