// The list of events, one event, live arrivals, and the time line of a session and of a user.

import assert from "node:assert/strict";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();

const rowCount = page =>
    page.evaluate(() => Number(document.querySelector('[role="treegrid"]')?.getAttribute("aria-rowcount") ?? 0));

test("the list goes on to the end while only what is visible is in the page", async () => {
    const app = await appWith(world.tally, shopEvents(1_000));
    const page = await world.signIn(`/?app=${app.id}&view=events`);
    const grid = page.getByRole("treegrid");
    await grid.getByRole("row").nth(5).waitFor();
    await grid.hover();
    await until(async () => {
        await page.mouse.wheel(0, 20_000);
        return (await rowCount(page)) === 1_001;
    });
    assert.ok((await grid.getByRole("row").count()) < 120);
});

test("a row opens in place: data as a tree, a readable stack, and links", async () => {
    const app = await appWith(world.tally, shopEvents(40));
    const page = await world.signIn(`/?app=${app.id}&view=events&level=ERROR`);
    await page.getByRole("treegrid").getByRole("row").nth(1).getByText("PaymentDeclined").click();
    await page.getByText("src/checkout.ts").first().waitFor();
    await page.getByText("release").first().waitFor();
    for (const link of ["Same session", "Same user", "Around this time"]) {
        await page.getByRole("link", { name: link }).waitFor();
    }
});

test("live: what arrives is on top; while scrolled it waits and says how many; nothing twice, nothing lost", async () => {
    const app = await appWith(world.tally, shopEvents(200));
    const page = await world.signIn(`/?app=${app.id}&view=events`);
    await page.getByRole("treegrid").getByRole("row").nth(5).waitFor();
    await page.getByRole("button", { name: "Live" }).click();
    const arrive = async (from, to) => {
        const events = Array.from({ length: to - from }, (_, at) => ({ name: `arrival-${from + at}` }));
        await world.tally.call("POST", `/apps/${app.id}/events`, events);
    };
    await arrive(0, 3);
    await page.getByRole("gridcell", { name: "arrival-2", exact: true }).waitFor();
    await page.getByRole("treegrid").hover();
    await page.mouse.wheel(0, 600);
    await arrive(3, 15);
    await page.getByText(/Paused · 12 new/).waitFor();
    await page.getByText(/Paused · 12 new/).click();
    await page.getByRole("gridcell", { name: "arrival-14", exact: true }).waitFor();
    for (let number = 0; number < 15; number += 1) {
        assert.equal(await page.getByRole("gridcell", { name: `arrival-${number}`, exact: true }).count(), 1);
    }
});

test("a session and a user have a time line of their own", async () => {
    const app = await appWith(world.tally, shopEvents(140));
    const page = await world.signIn(`/?app=${app.id}&view=events&since=24h`);
    await page.getByRole("treegrid").getByRole("row").nth(1).getByRole("gridcell").nth(1).click();
    await page.getByRole("link", { name: "Same session" }).click();
    await page.waitForURL(/view=session|session_id=/);
    await page.getByText(/user-0-0/).first().waitFor();
    await page.goto(`/?app=${app.id}&view=user&user_id=user-3`);
    await page.getByText(/user-3/).first().waitFor();
    await page.getByText(/20 events/).first().waitFor();
});

test("a text is searched for, marked where it is found, and taken out of the URL again", async () => {
    const app = await appWith(world.tally, shopEvents(40));
    await world.tally.call("POST", `/apps/${app.id}/events`, [
        { name: "refund", message: "Größe <b>unknown</b>", data: { note: "NEEDLE <i>in</i> data" } },
    ]);
    const page = await world.signIn(`/?app=${app.id}&view=events`);
    const grid = page.getByRole("treegrid");
    await grid.getByRole("row").nth(5).waitFor();
    const search = page.getByRole("searchbox", { name: "Search text in events" });
    await search.fill("grÖSSE <B>");
    await search.press("Enter");
    await page.getByText(/No events match/).first().waitFor();
    await search.fill("GRÖßE <B>");
    await search.press("Enter");
    await page.waitForURL(/[?&]q=GR/);
    await until(async () => (await rowCount(page)) === 2);
    assert.deepEqual(await grid.locator("mark").allTextContents(), ["Größe <b>"]);
    assert.equal(await grid.locator("b").count(), 0, "a value is no markup");
    await search.fill("needle");
    await search.press("Enter");
    await until(async () => (await rowCount(page)) === 2);
    await grid.getByText("refund").first().waitFor();
    await grid.getByRole("row").nth(1).getByRole("gridcell").nth(1).click();
    await until(async () => (await grid.locator(".event-detail mark").allTextContents()).join() === "NEEDLE");
    await page.getByText("text", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "Remove text needle" }).click();
    await page.waitForURL(url => !url.searchParams.has("q"));
    assert.equal(await search.inputValue(), "");
    await until(async () => (await rowCount(page)) > 20);
});

test("the keyboard moves, opens and closes", async () => {
    const app = await appWith(world.tally, shopEvents(40));
    const page = await world.signIn(`/?app=${app.id}&view=events&level=ERROR`);
    await page.getByRole("treegrid").getByRole("row").nth(1).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByText("src/checkout.ts").first().waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("src/checkout.ts").first().waitFor({ state: "detached" });
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
});
