// A newcomer: a new app, the page's own command, the first event.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { suite } from "./lib/suite.mjs";

const world = suite();
const run = promisify(execFile);

test("the page's own curl command sends the first event, the light turns, and the overview shows it", async () => {
    const page = await world.signIn("/");
    await page.getByRole("button", { name: "New app" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Newcomer");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    const key = await dialog.locator("pre").innerText();
    assert.match(key, /^tly_in_/);
    await dialog.getByRole("button", { name: /done|close/i }).click();
    await page.getByText("Waiting for the first event").waitFor();
    assert.equal(new URL(page.url()).searchParams.get("app"), "newcomer");
    const command = await page.getByRole("tabpanel").locator("pre").innerText();
    assert.ok(command.includes(key));
    await run("bash", ["-c", command]);
    await page.getByRole("region", { name: "Names" }).waitFor({ timeout: 30_000 });
    await page.getByRole("region", { name: "Names" }).getByRole("row").nth(1).waitFor();
});

test("each way to send events shows the key of the app", async () => {
    const app = await world.tally.app("every-way");
    const page = await world.signIn(`/?app=${app.id}`);
    await page.getByRole("button", { name: "Create an ingest key" }).click();
    const tabs = page.getByRole("tab");
    await page.getByText("The key below is filled in").waitFor();
    assert.deepEqual(await tabs.allInnerTexts(), [
        "curl",
        "JavaScript",
        "Python",
        "OpenTelemetry",
        "Sentry",
        "PostHog",
        "Segment",
        "Log files",
    ]);
    for (let index = 0; index < (await tabs.count()); index += 1) {
        await tabs.nth(index).click();
        const text = await page.getByRole("tabpanel").innerText();
        const name = await tabs.nth(index).innerText();
        assert.ok(/tly_in_[0-9a-f]/.test(text) || name === "Log files", `${name}: ${text}`);
    }
});
