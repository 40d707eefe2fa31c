// Signing in, a session that ends in the middle of work, signing out.

import assert from "node:assert/strict";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();

async function fillIn(page, { username, password }) {
    await page.getByLabel("User", { exact: true }).fill(username);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

test("a wrong password is refused where it was typed; the right one leads to the page that was asked for", async () => {
    const app = await appWith(world.tally, shopEvents(30));
    const page = await world.profile();
    page.expects(401);
    await page.goto(`/?app=${app.id}&since=7d`);
    await fillIn(page, { ...world.tally.admin, password: "not the password" });
    await page.getByRole("alert").filter({ hasText: /./ }).waitFor();
    await fillIn(page, world.tally.admin);
    await page.getByRole("region", { name: "Names" }).getByText("page_view").waitFor();
    assert.match(page.url(), new RegExp(`app=${app.id}&since=7d`));
    const [cookie] = await page.context().cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === "Lax");
});

test("a session that ends in the middle of work asks to sign in over the page, and the work goes on", async () => {
    const app = await appWith(world.tally, shopEvents(30));
    const page = await world.signIn(`/?app=${app.id}`);
    await page.getByRole("region", { name: "Names" }).getByText("page_view").waitFor();
    page.expects(401);
    await page.context().clearCookies();
    await page.getByRole("link", { name: "Events", exact: true }).click();
    await page.getByRole("dialog").getByText("session has ended").waitFor();
    assert.match(page.url(), /view=events/);
    await fillIn(page, world.tally.admin);
    await page.getByRole("treegrid").getByRole("row").nth(5).waitFor();
    assert.match(page.url(), /view=events/);
});

test("signing out ends the session everywhere", async () => {
    const page = await world.signIn("/");
    await page.getByRole("heading", { name: "Apps" }).waitFor();
    const [cookie] = await page.context().cookies();
    page.expects(401);
    await page.getByRole("button", { name: world.tally.admin.username }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
    assert.deepEqual(await page.context().cookies(), []);
    const refused = async () => {
        const headers = { Authorization: `Bearer ${cookie.value}` };
        return (await fetch(`${world.tally.url}/apps`, { headers })).status === 401;
    };
    await until(refused);
});

test("the link that the server prints signs in once", async () => {
    const path = world.tally.banner.match(/\/\?sign_in=\S+/)?.[0];
    assert.ok(path, world.tally.banner);
    const page = await world.profile();
    await page.goto(path);
    await page.getByRole("heading", { name: "Apps" }).waitFor();
    assert.doesNotMatch(page.url(), /sign_in/);
    const other = await world.profile();
    other.expects(401);
    await other.goto(path);
    await other.getByRole("button", { name: "Sign in", exact: true }).waitFor();
});
