// Share links: opened in a fresh profile, they show what was shared and nothing else; revoked, they stop.

import assert from "node:assert/strict";
import { test } from "node:test";

import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();

/** What must reach nobody who may see statistics only. */
const SECRETS = ["secret-user", "secret-session", "secret-data", "secret-tag", "secret-stack", "secret-message"];

function events() {
    return Array.from({ length: 40 }, (_, at) => ({
        name: at % 2 ? "checkout" : "visit",
        level: at % 2 ? "ERROR" : "INFO",
        category: "web",
        message: at % 2 ? "secret-message" : undefined,
        user_id: "secret-user",
        session_id: "secret-session",
        data: { plan: "secret-data" },
        tags: { place: "secret-tag" },
        stack: ["secret-stack"],
        timestamp: new Date(Date.now() - (at + 1) * 60_000).toISOString(),
        id: `share-${at}`,
    }));
}

async function share(app, query = "") {
    const page = await world.signIn(`/?app=${app}${query}`);
    await page.getByRole("button", { name: "Share" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("rolling").click();
    await dialog.getByLabel("Label").fill("For the board");
    await dialog.getByRole("button", { name: "Create link" }).click();
    return { page, link: await dialog.locator("pre").first().innerText() };
}

test("a share link opens without sign-in, and its traffic holds nothing of what it hides", async () => {
    const app = await appWith(world.tally, events());
    const { link } = await share(app.id);
    assert.match(link, /#key=tly_/);
    const visitor = await world.profile();
    const bodies = [];
    visitor.on("response", response => bodies.push(response.text().catch(() => "")));
    await visitor.goto(link);
    await visitor.getByRole("region", { name: "Names" }).getByText("checkout").waitFor();
    await visitor.locator(".card").first().getByText("40", { exact: true }).waitFor();
    assert.equal(await visitor.getByRole("link", { name: "Events", exact: true }).count(), 0);
    assert.equal(await visitor.getByRole("link", { name: "Settings", exact: true }).count(), 0);
    assert.ok(visitor.requested.every(request => !request.url().includes("tly_")), "the key is in no URL that is sent");
    const traffic = (await Promise.all(bodies)).join("\n");
    for (const secret of SECRETS) {
        assert.ok(!traffic.includes(secret), `${secret} reached the visitor`);
    }
});

test("a filter of the link stays, whatever the visitor asks for", async () => {
    const app = await appWith(world.tally, events());
    const { link } = await share(app.id, "&name=checkout");
    const visitor = await world.profile();
    await visitor.goto(link.replace("name=checkout", "name=visit"));
    await visitor.getByText(/No events match|0/).first().waitFor();
    assert.equal(await visitor.getByRole("region", { name: "Names" }).getByText("visit", { exact: true }).count(), 0);
});

test("a revoked link stops within 60 s, and says so on a page of its own", async () => {
    const app = await appWith(world.tally, events());
    const { page, link } = await share(app.id);
    await page.goto(`/?app=${app.id}&view=settings&tab=links`);
    await page.getByRole("button", { name: "Revoke For the board" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Revoke For the board" }).waitFor({ state: "detached" });
    const visitor = await world.profile();
    visitor.expects(401);
    visitor.expects(403);
    await until(async () => {
        await visitor.goto("about:blank");
        await visitor.goto(link);
        await visitor.locator("h1").first().waitFor();
        return (await visitor.getByRole("region", { name: "Names" }).count()) === 0;
    });
    assert.equal(await visitor.getByLabel("Password").count(), 0);
});
