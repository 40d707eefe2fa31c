// The chart: zoom by drag, undo, comparison, columns that lead to their events, and the same values as a table.

import assert from "node:assert/strict";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();

async function overview(count, query = "since=6h") {
    const app = await appWith(world.tally, shopEvents(count));
    const page = await world.signIn(`/?app=${app.id}&${query}`);
    const plot = page.getByRole("slider", { name: "Events over time" });
    await plot.locator("path[d]").first().waitFor({ state: "attached" });
    return { page, plot, box: await plot.boundingBox() };
}

test("a drag zooms into a range, Esc undoes it", async () => {
    const { page, box } = await overview(300, "since=3h");
    await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 80, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(url => url.searchParams.has("until"));
    const { searchParams } = new URL(page.url());
    const hours = (Date.parse(searchParams.get("until")) - Date.parse(searchParams.get("since"))) / 3_600_000;
    assert.ok(hours > 0.7 && hours < 1.1, `${hours} h of 3`);
    await page.keyboard.press("Escape");
    await page.waitForURL(url => !url.searchParams.has("until"));
});

test("a click on a column lists its events", async () => {
    const { page, box } = await overview(300);
    await page.mouse.click(box.x + box.width * 0.9, box.y + 100);
    await page.waitForURL(url => url.searchParams.get("view") === "events" && url.searchParams.has("until"));
    await page.getByRole("treegrid").getByRole("row").nth(1).waitFor();
});

test("the comparison is a line and a change; without it neither is there", async () => {
    const { page } = await overview(600);
    const change = page.locator(".card").first().getByText(/[+−]\d|new|0%/);
    await change.first().waitFor();
    await page.getByRole("button", { name: "Compare" }).click();
    await page.waitForURL(/compare=none/);
    await change.first().waitFor({ state: "detached" });
});

test("the values of the chart are a table too, and add up to the events", async () => {
    const { page } = await overview(300);
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const rows = page.getByRole("region", { name: "Values of the chart" }).getByRole("row");
    await rows.nth(1).waitFor();
    const totals = await rows.evaluateAll(all => all.slice(1).map(row => Number(row.lastElementChild.innerText.replace(/\D/g, ""))));
    assert.equal(totals.reduce((sum, each) => sum + each, 0), 300);
});

test("the legend hides a level and shows one alone", async () => {
    const { page, plot } = await overview(300);
    const drawn = () => plot.evaluate(element => [...element.querySelectorAll("path")].map(path => path.getAttribute("d")).join());
    const before = await drawn();
    const level = page.getByRole("group", { name: "Series" }).getByRole("button", { name: /DEBUG/ });
    await level.click();
    await until(async () => (await drawn()) !== before);
    await level.click();
    await until(async () => (await drawn()) === before);
});
