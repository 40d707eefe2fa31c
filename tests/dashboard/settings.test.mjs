// Settings: keys, erasing, audit, saved views.

import assert from "node:assert/strict";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();

const sendWith = (key, app) =>
    fetch(`${world.tally.url}/apps/${app}/events`, {
        method: "POST",
        headers: { "X-Ingest-Key": key },
        body: '{"name":"by key"}',
    });

test("a key is made, shown once, used and revoked", async () => {
    const app = await appWith(world.tally, shopEvents(5));
    const page = await world.signIn(`/?app=${app.id}&view=settings&tab=keys`);
    await page.getByRole("button", { name: "Create key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Label").fill("Checkout");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    const key = await dialog.locator("pre").innerText();
    await dialog.getByRole("button", { name: /done|close/i }).click();
    assert.equal((await sendWith(key, app.id)).status, 201);
    assert.ok(!(await page.content()).includes(key), "the key is shown once");
    await page.getByRole("button", { name: "Revoke Checkout" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Revoke Checkout" }).waitFor({ state: "detached" });
    await until(async () => (await sendWith(key, app.id)).status === 401);
});

test("Verify now says that what is counted is what is stored", async () => {
    const app = await appWith(world.tally, shopEvents(48));
    const page = await world.signIn(`/?app=${app.id}`);
    await page.getByRole("button", { name: /^Exact to/ }).click();
    await page.getByRole("button", { name: "Verify now" }).click();
    await page.getByText("counted 48 = stored 48").waitFor();
});

test("a view is saved under a name and opened again", async () => {
    const app = await appWith(world.tally, shopEvents(48));
    const page = await world.signIn(`/?app=${app.id}&since=7d&level=ERROR`);
    await page.getByRole("button", { name: "☆" }).click();
    await page.getByRole("button", { name: "Save this view…" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Errors of the week");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Saved").waitFor();
    await page.goto(`/?app=${app.id}`);
    await page.getByRole("button", { name: /☆|★/ }).click();
    await page.getByText("Errors of the week").click();
    await page.waitForURL(url => url.searchParams.get("level") === "ERROR" && url.searchParams.get("since") === "7d");
});

test("an app is erased only with its name typed", async () => {
    const app = await appWith(world.tally, shopEvents(5));
    const page = await world.signIn(`/?app=${app.id}&view=settings`);
    await page.getByRole("button", { name: "Erase app" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox").fill("another");
    await dialog.getByRole("button", { name: /^Erase/ }).click();
    assert.equal((await world.tally.call("GET", `/apps/${app.id}`)).id, app.id);
    await dialog.getByRole("textbox").fill(app.id);
    page.expects(404);
    await dialog.getByRole("button", { name: /^Erase/ }).click();
    await until(async () => {
        const apps = await world.tally.call("GET", "/apps");
        return !apps.items.some(each => each.id === app.id);
    });
});
