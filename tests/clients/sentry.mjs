// Sentry: @sentry/node, sentry-sdk (PyPI), and @sentry/browser in Chromium.

import assert from "node:assert/strict";

/** Events for which something holds, which must be there. */
function some(events, what, holds) {
    const found = events.filter(holds);
    assert.ok(found.length > 0, `no ${what} among ${JSON.stringify(events.map(event => [event.name, event.message]))}`);
    return found;
}

/** What every SDK sends in the same way. */
function common(events, { rejected }, raised, cause) {
    assert.deepEqual(rejected, []);
    for (const event of some(events, "message", event => event.message?.startsWith("clicked "))) {
        assert.deepEqual([event.name, event.level, event.category], ["message", "INFO", "production"]);
        assert.equal(event.user_id, "user-1");
        assert.equal(event.data.extra.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.extra.nested, { list: [1, 2.5, null, { deep: true }] });
        assert.equal(event.fingerprint, event.message);
        assert.deepEqual(event.data.user, { email: "ann@example.org", id: "user-1" });
        assert.match(event.client_id, /^[0-9a-f]{32}$/);
        assert.deepEqual([event.tags.plan, event.tags.release], ["pro", "shop@1.2.0"]);
        assert.match(event.tags.sdk, /^sentry\.[a-z.]+\/\d/);
    }
    for (const event of some(events, raised, event => event.name === raised)) {
        assert.equal(event.level, "ERROR");
        assert.match(event.message, new RegExp(`^${raised}: mark`));
        assert.deepEqual(event.stack.map(exception => exception.type), [raised, cause]);
        const [innermost] = event.stack[0].frames;
        assert.ok(innermost.function.includes("fail") && innermost.in_app, JSON.stringify(innermost));
        assert.match(event.fingerprint, new RegExp(`^${raised} in .*fail`));
    }
    const logs = some(events, "log", event => event.message?.startsWith("logged "));
    for (const event of logs) {
        assert.match(event.name, /^logged [%{]/, "the template");
        assert.equal(event.data.half, 0.5);
        assert.ok(event.tags.trace_id && event.tags.sdk, JSON.stringify(event.tags));
    }
    return logs;
}

function node(events, around) {
    const logs = common(events, around, "TypeError", "RangeError");
    assert.deepEqual(logs.map(log => log.level).sort(), ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"]);
    some(events, "unhandled rejection", event => event.name === "SyntaxError" && event.stack[0].mechanism.handled === false);
    some(events, "parameterized message", event => event.data.template === "user %s is late" && event.message.startsWith("user mark"));
    some(events, "feedback", event => event.name === "feedback" && event.message.startsWith("mark"));
    some(events, "check-in", event => event.name === "check_in" && event.level === "ERROR" && event.category.startsWith("backup"));
    const [large] = some(events, "large message", event => event.message?.startsWith("large "));
    assert.equal(large.data.extra.large, "Ünïcode 😀 ".repeat(5_000));
}

function python(events, around) {
    const logs = common(events, around, "ValueError", "LookupError");
    assert.deepEqual(logs.map(log => log.level).sort(), ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"]);
    some(events, "log record", event => event.name === "shop" && event.level === "ERROR" && event.message.startsWith("user mark"));
    some(events, "check-in", event => event.name === "check_in" && event.category.startsWith("backup"));
}

function browser(events, around) {
    common(events, around, "TypeError", "RangeError");
    some(events, "uncaught error", event => event.name === "SyntaxError" && event.stack[0].mechanism.handled === false);
    some(events, "feedback", event => event.name === "feedback" && event.message.startsWith("mark"));
}

const NEVER = "it never repeats";
const LOSES = Object.fromEntries(
    ["500, first 2", "503, first 2", "503, every third", "413, first 1", "dropped before"].map(fault => [fault, NEVER]),
);
/** What comes after a 429 never leaves the process, so it is not among what was refused. */
const SKIP = {
    "429, first 1": "it is silent for 60 s",
    "429, Retry-After": "it is silent for 1 s",
};
// After a fault an SDK reports what it lost, which is a rejected event.
const COMMON = { loses: LOSES, skip: SKIP, rejects: true };

export default {
    name: "sentry",
    carries: (method, path) => method === "POST" && path.replace(/\/$/, "").endsWith("/envelope"),
    clients: {
        "@sentry/node": { ...COMMON, script: ["sentry/node.mjs"], check: node },
        "sentry-sdk (Python)": { ...COMMON, script: ["sentry/python.py"], check: python },
        "sentry-sdk (Python), gzip": { ...COMMON, script: ["sentry/python.py"], env: { PACKED: "gzip" }, only: ["none"], check: python },
        "sentry-sdk (Python), plain": { ...COMMON, script: ["sentry/python.py"], env: { PACKED: "none" }, only: ["none"], check: python },
        "@sentry/browser": { ...COMMON, page: "sentry/page.mjs", events: 5, check: browser },
        "@sentry/browser, page closed": { ...COMMON, page: "sentry/page.mjs", closes: true, events: 3, only: ["none"], check: browser },
    },
};
