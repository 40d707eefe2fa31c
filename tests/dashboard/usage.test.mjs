// Settings, usage: of one app by day, of all apps, and what the disk or AWS says of them.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite } from "./lib/suite.mjs";

const world = suite({ onDisk: true });
const SCREENSHOTS = new URL("../../target/dashboard/screenshots/", import.meta.url).pathname;

/** The cells of the row that begins with a text. */
const cells = (table, first) =>
    table.getByRole("row").filter({ has: table.page().getByRole("cell", { name: first, exact: true }) }).getByRole("cell").allInnerTexts();

test("the usage of an app is told by day, that of all apps beside the disk and when it is full", async () => {
    const [large, small] = [await appWith(world.tally, shopEvents(300)), await appWith(world.tally, shopEvents(7))];
    const today = new Date().toISOString().slice(0, 10);
    const page = await world.signIn(`/?app=${large.id}&view=settings&tab=usage`);
    await page.getByText(/^The last 30 days: 300 events, about [\d.]+ KB\. Days are in UTC\.$/).waitFor();
    const days = page.getByRole("table", { name: "Usage by day" });
    const ofDays = await days.getByRole("row").allInnerTexts();
    assert.match(ofDays[1], new RegExp(`^${today}`));
    const events = (await days.getByRole("row").locator("td:nth-child(2)").allInnerTexts()).map(Number);
    assert.equal(events.reduce((sum, each) => sum + each, 0), 300, ofDays.join("\n"));

    const apps = page.getByRole("table", { name: "Usage by app" });
    // It is asked for by itself, and may come later.
    await apps.getByRole("cell", { name: small.id, exact: true }).waitFor();
    assert.equal((await cells(apps, large.id))[1], "300");
    assert.equal((await cells(apps, small.id))[1], "7");
    await page.getByText(/^The database takes [\d.]+ [KM]B, [\d.]+ [GT]B are free(: full on .+ at this rate)?\.$/).waitFor();
    mkdirSync(SCREENSHOTS, { recursive: true });
    for (const [scheme, width] of [["light", 1440], ["dark", 320]]) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: 900 });
        await page.screenshot({ path: `${SCREENSHOTS}usage-on-disk-${scheme}-${width}.png`, fullPage: true });
    }
});

test("on AWS the page tells what the events cost, and an app beyond the budget says that it was not read", async () => {
    const app = await appWith(world.tally, shopEvents(5));
    const page = await world.signIn("/");
    await page.route("**/usage", route =>
        new URL(route.request().url()).pathname === "/usage"
            ? route.fulfill({
                  json: {
                      items: [
                          { app: "shop", events: 1_240_000, bytes: 3_100_000_000 },
                          { app: "beyond", events: null, bytes: null },
                      ],
                      next: "beyond",
                      days: 30,
                      bytes_estimated: true,
                      cost: { estimated: true, write_units: 5e6, dollars_from: 3.1, dollars_to: 5.4, prices: "eu-central-1, arm64, October 2026" },
                  },
              })
            : route.continue(),
    );
    await page.goto(`/?app=${app.id}&view=settings&tab=usage`);
    await page.getByText("Their events cost $3.10 to $5.40 in 30 days: an estimate (eu-central-1, arm64, October 2026). The first 2.").waitFor();
    const apps = page.getByRole("table", { name: "Usage by app" });
    assert.deepEqual(await cells(apps, "beyond"), ["beyond", "not read", ""]);
    assert.deepEqual(await cells(apps, "shop"), ["shop", "1,240,000", "3.1 GB"]);
});
