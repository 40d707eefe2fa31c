// The calls of .ci/generated-clients with openapi-fetch over the generated types: URL and admin's password are its arguments.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Level = components["schemas"]["Level"];

let calls = 0;

function check(condition: unknown, about: unknown): asserts condition {
    if (!condition) throw new Error(JSON.stringify(about));
}

interface Reply<T> {
    data?: T;
    error?: unknown;
    response: { status: number };
}

/** The body of a reply that must have a status. */
async function ok<T>(status: number, reply: Promise<Reply<T>>): Promise<T> {
    const { data, error, response } = await reply;
    calls += 1;
    check(response.status === status && data !== undefined, [response.status, error ?? data]);
    return data;
}

const [url, password] = process.argv.slice(2) as [string, string];
const now = new Date();
const minutes = (n: number) => new Date(now.getTime() + n * 60_000).toISOString();

const anybody = createClient<paths>({ baseUrl: url });
const signedIn = await ok(200, anybody.POST("/auth", { body: { username: "admin", password } }));
check(new Date(signedIn.expires_at) > now, signedIn);
const admin = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${signedIn.token}` } });

const app = (await ok(201, admin.POST("/apps", { body: { name: "TypeScript" } }))).id;
const inApp = { path: { app } };
// A key that may not read all would be told less.
const shown = await ok(200, admin.GET("/apps/{app}", { params: inApp }));
check("retention_days" in shown && shown.retention_days === null, "retention_days");
const changed = await ok(200, admin.PATCH("/apps/{app}", { params: inApp, body: { events_per_minute: 1000 } }));
check(changed.events_per_minute === 1000, changed);

const key = await ok(201, admin.POST("/apps/{app}/keys", { params: inApp, body: { scopes: ["ingest", "read"] } }));
check(key.key?.startsWith("tly_") && key.scopes.length === 2, key);
const keys = await ok(200, admin.GET("/apps/{app}/keys", { params: inApp }));
check(keys.items.some((listed) => listed.id === key.id), keys);
const sender = createClient<paths>({ baseUrl: url, headers: { "X-Ingest-Key": key.key } });
const reader = createClient<paths>({ baseUrl: url, headers: { "X-Read-Key": key.key } });

const one = { name: "started", level: "info", timestamp: minutes(-1), data: { plan: "pro" } };
const stored = await ok(201, sender.POST("/apps/{app}/events", { params: inApp, body: one }));
check("level" in stored && stored.level === ("INFO" satisfies Level), stored);
const two = [{ name: "failed", message: "boom", level: "ERROR", timestamp: minutes(-0.5) }, { name: "plain" }];
const batch = await ok(201, sender.POST("/apps/{app}/events", { params: inApp, body: two }));
check("accepted" in batch && batch.accepted === 2, batch);
const some = await ok(207, sender.POST("/apps/{app}/events", { params: inApp, body: [...two, { name: "" }] }));
check("rejected" in some && some.ids[2] === null && some.rejected?.[0]?.index === 2, some);
const wrong = await sender.POST("/apps/{app}/events", { params: inApp, body: { name: "late", level: "loud" } });
calls += 1;
check(wrong.response.status === 400 && wrong.error?.errors?.[0]?.field === "level", wrong.error);
const counting = { params: { path: { app, name: "started" } } };
check((await ok(201, sender.POST("/apps/{app}/count/{name}", counting))).name === "started", "count");

const first = { since: minutes(-1), order: "asc", limit: 2, consistent: true } as const;
const page = await ok(200, reader.GET("/apps/{app}/events", { params: { ...inApp, query: first } }));
check(page.items.map((event) => event.level).join() === "INFO,ERROR" && page.next !== null, page);
const more = { params: { ...inApp, query: { cursor: page.next, limit: 10 } } };
const rest = await ok(200, reader.GET("/apps/{app}/events", more));
check(rest.items.length === 4 && rest.next === null, rest);
const storedEvent = { params: { path: { app, id: stored.id } } };
check((await ok(200, reader.GET("/apps/{app}/events/{id}", storedEvent))).name === "started", "the event");

// What counters hold may be a moment behind, so only the shape is looked at.
const range = { since: minutes(-1), until: minutes(1) };
const levels = await ok(200, reader.GET("/apps/{app}/stats/by-level", { params: { ...inApp, query: range } }));
check(Array.isArray(levels.items), levels);
const minute = { ...range, interval: "MINUTE", fill: "zero" } as const;
const series = await ok(200, reader.GET("/apps/{app}/stats/timeseries", { params: { ...inApp, query: minute } }));
check(series.series.length > 1, series);
const today = { date: "today", tz: "Europe/Berlin" };
const report = await ok(200, reader.GET("/apps/{app}/reports/day", { params: { ...inApp, query: today } }));
check([23, 24, 25].includes(report.series.length), report);
const since = { since: minutes(-1) };
const top = await ok(200, reader.GET("/apps/{app}/stats/top-messages", { params: { ...inApp, query: since } }));
check(Array.isArray(top.items), top);

const erased = await admin.DELETE("/apps/{app}/events/{id}", storedEvent);
const gone = await reader.GET("/apps/{app}/events/{id}", storedEvent);
calls += 2;
check(erased.response.status === 204 && gone.response.status === 404 && gone.error?.status === 404, gone.error);
console.log(`TypeScript: ${calls} calls`);
