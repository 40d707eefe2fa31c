// The faults that stand between a client library and Tally.

/**
 * Name → what happens to a request that brings events:
 * - `hits(n)`: whether the `n`th such request, from 1, meets the fault.
 * - `status`, `headers`: it is answered so, and Tally does not see it; with `stored` Tally has taken it before.
 * - `drop`: the connection ends without a reply: `before` the body is read, or `after` Tally has taken it.
 * - `twice`: Tally gets it a second time, as from a library that sends again what was answered.
 * - `late`: Tally takes it, but its answer comes later than the client waits.
 */
export const FAULTS = {
    none: { hits: () => false },
    "500, first 2": { hits: first(2), status: 500 },
    "503, first 2": { hits: first(2), status: 503 },
    "503, every third": { hits: n => n % 3 === 1, status: 503 },
    "503 although stored": { hits: first(1), status: 503, stored: true },
    "429, first 1": { hits: first(1), status: 429 },
    "429, Retry-After": { hits: first(1), status: 429, headers: { "retry-after": "1" } },
    "413, first 1": { hits: first(1), status: 413 },
    "dropped before": { hits: first(1), drop: "before" },
    "dropped after": { hits: first(1), drop: "after" },
    "every one twice": { hits: () => true, twice: true },
    "answer too late": { hits: first(1), late: true },
};

/** What a client that sends nothing again loses: the events of each request that Tally did not get. */
export const LOST_BY_EACH_FAULT = Object.fromEntries(
    [
        "500, first 2",
        "503, first 2",
        "503, every third",
        "429, first 1",
        "429, Retry-After",
        "413, first 1",
        "dropped before",
    ].map(fault => [fault, "it never repeats"]),
);

/** The faults of the short form. */
export const SHORT = ["none", "dropped after"];

function first(count) {
    return n => n <= count;
}
