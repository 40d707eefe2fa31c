// Sends events of each kind with mixpanel.

import Mixpanel from "mixpanel";

import { events, fault, key, mark, url } from "../lib/client.mjs";

// A key is what Mixpanel asks for at its endpoint for imports; the logger would say that it is out of fashion.
const logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const client = Mixpanel.init(key, { host: new URL(url).host, protocol: "http", key, logger });
const done = [];
/** A call that is over when it is answered; without faults it must succeed. */
const call = start =>
    done.push(
        new Promise((resolve, reject) =>
            start(error => {
                const failed = [error ?? []].flat().filter(Boolean);
                if (fault === "none" && failed.length > 0) reject(failed[0]);
                else resolve();
            }),
        ),
    );
const properties = () => ({
    distinct_id: "user-1",
    marker: mark(),
    text: "Ünïcode 😀 \u2028",
    nested: { list: [1, 2.5, null, { deep: true }] },
});

for (let i = 0; i < events; i++) call(answered => client.track("clicked", properties(), answered));
const batch = Array.from({ length: 120 }, () => ({ event: "batched", properties: { ...properties(), time: new Date() } }));
call(answered => client.track_batch(batch, answered));
const then = new Date("2026-11-20T10:00:00.123Z");
call(answered => client.import("imported", then, properties(), answered));
call(answered => client.import_batch([{ event: "imported too", properties: { ...properties(), time: then } }], answered));
call(answered => client.alias("user-1", mark(), answered));
call(answered => client.people.set("user-1", { plan: "pro", marker: mark() }, answered));
call(answered => client.people.increment("user-1", { [mark()]: 1 }, answered));
call(answered => client.groups.set("company", "acme", { marker: mark() }, answered));
await Promise.all(done);
