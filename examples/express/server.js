// A shop that sends to Tally what its customers do, its errors, and a count.

import express from "express";
import { PostHog, setupExpressErrorHandler } from "posthog-node";

const { TALLY_URL, TALLY_KEY, TALLY_APP, PORT = "8001" } = process.env;
const GOODS = { tea: { price: 3.5 }, coffee: { price: 4 } };

// Tally's address and an ingest key, in place of PostHog's: nothing else is different.
const posthog = new PostHog(TALLY_KEY, { host: TALLY_URL, flushInterval: 1_000 });

/** Adds to a counter of Tally, which needs no library. A shop goes on if that fails. */
function count(name, n) {
    const url = `${TALLY_URL}/apps/${TALLY_APP}/count/${encodeURIComponent(name)}/${n}`;
    const sent = fetch(url, { method: "POST", headers: { "x-ingest-key": TALLY_KEY }, signal: AbortSignal.timeout(5_000) });
    return sent.catch(error => console.error(`not counted: ${error.message}`));
}

const app = express();
// Who it is. A real shop knows that by its sign-in; here the client says it. Everything within has this user and session.
app.use((request, _, next) => {
    const who = { distinctId: request.get("x-user") ?? "guest", sessionId: request.get("x-session") };
    posthog.withContext(who, next);
});

app.get("/", (_, reply) => {
    posthog.capture({ event: "goods listed" });
    reply.json(GOODS);
});

app.post("/orders/:item", (request, reply) => {
    const { item } = request.params;
    const amount = Number(request.query.amount ?? 1);
    // A bug: it throws where there is no such item.
    const total = GOODS[item].price * amount;
    posthog.capture({ event: "order placed", properties: { item, amount, total } });
    void count("items sold", amount);
    reply.status(201).json({ item, amount, total });
});

// After the routes: what they throw goes to Tally with its stack, and becomes an issue.
setupExpressErrorHandler(posthog, app);

const server = app.listen(Number(PORT), "127.0.0.1", () => {
    console.log(`shop on http://127.0.0.1:${server.address().port}, sends to ${TALLY_URL}`);
});
// What waits is sent before it ends.
for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => server.close(() => posthog.shutdown()));
}
