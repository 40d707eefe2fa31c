// Much: 100,000 names, a million events. Not part of the short form.

import assert from "node:assert/strict";
import { test } from "node:test";

import { suite } from "./lib/suite.mjs";

const world = suite({ onDisk: true });
const long = process.env.TALLY_TESTS_SHORT ? { skip: "long" } : {};

/** Sends `count` events in batches of 1,000, four at a time. */
async function sendMany(app, count, make) {
    let next = 0;
    const worker = async () => {
        while (next < count) {
            const from = next;
            next += 1000;
            const events = Array.from({ length: Math.min(1000, count - from) }, (_, at) => make(from + at));
            const reply = await fetch(`${world.tally.url}/apps/${app.id}/events`, {
                method: "POST",
                headers: { "X-Ingest-Key": app.key, "Content-Type": "application/json" },
                body: JSON.stringify(events),
            });
            assert.ok(reply.ok, `${reply.status} ${reply.ok ? "" : await reply.text()}`);
        }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
}

const exact = async (app, count) => {
    const end = Date.now() + 1_800_000;
    while ((await world.tally.counted(app.id)) < count) {
        assert.ok(Date.now() < end, "not counted within 30 minutes");
        await new Promise(resolve => setTimeout(resolve, 1_000));
    }
};

/** Opens a view; milliseconds until its numbers are there. */
async function opened(page, query, shown) {
    const from = performance.now();
    await page.goto(query);
    await shown();
    await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
    return Math.round(performance.now() - from);
}

test("100,000 distinct names: the page stays usable and says what is blurred", long, async () => {
    const app = await world.tally.app("many-names", { max_new_names_per_day: 1_000_000 });
    await sendMany(app, 100_000, at => ({ name: `name-${at}`, timestamp: Date.now() - (at % 3600) * 1000, id: `n-${at}` }));
    await exact(app, 100_000);
    const page = await world.signIn("/");
    const names = page.getByRole("region", { name: "Names" });
    const ms = await opened(page, `/?app=${app.id}`, () => names.getByRole("row").nth(3).waitFor());
    console.log(`overview of 100,000 names: ${ms} ms`);
    await page.getByText(/names beyond the limit|in \(other\)/).first().waitFor();
    await names.getByRole("button", { name: "Show all" }).click();
    await page.waitForLoadState("networkidle");
    assert.ok((await page.evaluate(() => document.querySelectorAll("*").length)) < 20_000);
});

test("a million events: each view opens within a second", long, async () => {
    const app = await world.tally.app("million");
    const levels = ["INFO", "INFO", "INFO", "WARN", "DEBUG", "ERROR"];
    const now = Date.now();
    await sendMany(app, 1_000_000, at => ({
        name: `name-${at % 20}`,
        level: levels[at % 6],
        user_id: `user-${at % 5000}`,
        session_id: `session-${at % 50_000}`,
        timestamp: now - at * 2_500,
        id: `m-${at}`,
    }));
    await exact(app, 1_000_000);
    const page = await world.signIn("/");
    const row = () => page.getByRole("treegrid").getByRole("row").nth(1).waitFor();
    const names = () => page.getByRole("region", { name: "Names" }).getByText("name-1", { exact: true }).waitFor();
    for (const [query, shown] of [
        [`/?app=${app.id}`, names],
        [`/?app=${app.id}&since=7d`, names],
        [`/?app=${app.id}&since=30d`, names],
        [`/?app=${app.id}&view=events`, row],
        [`/?app=${app.id}&view=events&level=ERROR&since=30d`, row],
        [`/?app=${app.id}&view=session&session_id=session-7`, () => page.getByText("session-7").first().waitFor()],
    ]) {
        const ms = await opened(page, query, shown);
        console.log(`${query.split("&").slice(1).join(" ") || "24 h"}: ${ms} ms`);
        assert.ok(ms < 1_000, `${query}: ${ms} ms`);
    }
});
