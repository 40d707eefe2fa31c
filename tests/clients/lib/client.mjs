// What a client script for Node begins with: where to send, and a marker for every event that it sends.
//
//     import { events, key, mark, url } from "./lib/client.mjs";
//     for (let i = 0; i < events; i++) client.capture("clicked", { marker: mark() });

/** The base address that the library is given: the proxy. */
export const url = process.env.CLIENT_URL;
/** The app that it belongs to. */
export const app = process.env.CLIENT_APP;
/** The ingest key. */
export const key = process.env.CLIENT_KEY;
/** How many events to send of the kind that is sent many times. */
export const events = Number(process.env.CLIENT_EVENTS);
/** The name of the fault. */
export const fault = process.env.CLIENT_FAULT;

let marked = 0;

/** A text that one event must carry unchanged, anywhere in it. */
export function mark() {
    marked += 1;
    const marker = `${process.env.CLIENT_MARKER}-${String(marked).padStart(5, "0")}`;
    process.stdout.write(`sent ${marker}\n`);
    return marker;
}
