// Filters: by click, by typing, in the URL, and with "back".

import assert from "node:assert/strict";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();
const COUNT = 120;

/** How many of the events meet a condition, as the page must say. */
const counted = condition => shopEvents(COUNT).filter(condition).length;

function card(page, label) {
    return page.locator(".card").filter({ hasText: label }).first();
}

async function showsEvents(page, count) {
    await card(page, "Events").getByText(String(count), { exact: true }).waitFor();
}

test("a click on a name adds a filter to the URL, a second one another value, and back takes it away", async () => {
    const app = await appWith(world.tally, shopEvents(COUNT));
    const page = await world.signIn(`/?app=${app.id}`);
    await showsEvents(page, COUNT);
    await page.getByRole("region", { name: "Names" }).getByRole("button", { name: "signup", exact: true }).click();
    await showsEvents(page, counted(event => event.name === "signup"));
    assert.equal(new URL(page.url()).searchParams.get("name"), "signup");
    await page.goBack();
    await showsEvents(page, COUNT);
    assert.equal(new URL(page.url()).searchParams.get("name"), null);
    await page.goForward();
    await showsEvents(page, counted(event => event.name === "signup"));
    await page.reload();
    await showsEvents(page, counted(event => event.name === "signup"));
});

test("a click on a message asks for its group, and its chip says what that is", async () => {
    const lost = Array.from({ length: 5 }, (_, at) => ({ name: "cart", message: `cart ${484509 + at} not found` }));
    const app = await appWith(world.tally, [...shopEvents(COUNT), ...lost]);
    const page = await world.signIn(`/?app=${app.id}`);
    await showsEvents(page, COUNT + lost.length);
    const messages = page.getByRole("region", { name: "Messages" });
    await messages.getByRole("button", { name: "cart <n> not found", exact: true }).click();
    await showsEvents(page, lost.length);
    assert.match(new URL(page.url()).searchParams.get("group"), /^m[0-9a-f]{16}$/);
    assert.match((await page.locator(".chip").first().innerText()).replaceAll("\n", " "), /group\s+is\s+cart <n> not found/);
    await page.getByRole("region", { name: "Names" }).getByRole("button", { name: "cart", exact: true }).waitFor();
    await page.getByRole("link", { name: "Events", exact: true }).click();
    await page.getByText("cart 484511 not found").first().waitFor();
});

test("a chip turns into its opposite at its verb, and goes at its cross", async () => {
    const app = await appWith(world.tally, shopEvents(COUNT));
    const page = await world.signIn(`/?app=${app.id}&level=ERROR,FATAL`);
    const errors = counted(event => ["ERROR", "FATAL"].includes(event.level));
    await showsEvents(page, errors);
    const chips = page.locator(".chip");
    assert.match((await chips.first().innerText()).replaceAll("\n", " "), /level\s+is\s+ERROR, FATAL/);
    await chips.first().getByRole("button", { name: /\bis\b/ }).click();
    await showsEvents(page, COUNT - errors);
    assert.match(decodeURIComponent(page.url()), /level\[ne\]=ERROR,FATAL/);
    await chips.first().getByRole("button", { name: /remove/i }).click();
    await showsEvents(page, COUNT);
});

for (const [query, condition] of [
    ["name=signup", event => event.name === "signup"],
    ["name=signup&name=error", event => ["signup", "error"].includes(event.name)],
    ["name[ne]=signup", event => event.name !== "signup"],
    ["category=web", event => event.category === "web"],
    ["category[ne]=web", event => event.category !== "web"],
    ["level=INFO", event => event.level === "INFO"],
    ["message=PaymentDeclined: card expired", event => event.message === "PaymentDeclined: card expired"],
    ["session_id=user-3-0", event => event.session_id === "user-3-0"],
    ["user_id=user-3", event => event.user_id === "user-3"],
    ["user_id[ne]=user-3", event => event.user_id !== "user-3"],
    ["attr.plan=pro", event => event.data?.plan === "pro"],
    ["attr.plan[ne]=pro", event => event.data?.plan !== "pro"],
    ["attr.amount[gte]=60", event => event.data?.amount >= 60],
    ["attr.source.campaign[exists]=true", event => event.data?.source !== undefined],
    ["attr.path[contains]=/p/1", event => event.data?.path?.includes("/p/1") ?? false],
]) {
    test(`the URL ?${query} shows the same count on the overview and as many events in the list`, async () => {
        const app = await appWith(world.tally, shopEvents(COUNT));
        const page = await world.signIn(`/?app=${app.id}&${query}`);
        const count = counted(condition);
        await showsEvents(page, count);
        await page.getByRole("link", { name: "Events", exact: true }).click();
        const grid = page.getByRole("treegrid");
        await grid.getByRole("row").nth(1).waitFor();
        // The number is known once the list was read to its end.
        await grid.hover();
        await until(async () => {
            await page.mouse.wheel(0, 5_000);
            return (await grid.getAttribute("aria-rowcount")) === String(count + 1);
        });
    });
}

test("a filter is typed at the keyboard", async () => {
    const app = await appWith(world.tally, shopEvents(COUNT));
    const page = await world.signIn(`/?app=${app.id}`);
    await showsEvents(page, COUNT);
    await page.keyboard.press("/");
    await page.keyboard.type("level is ERROR");
    await page.keyboard.press("Enter");
    await showsEvents(page, counted(event => event.level === "ERROR"));
});

test("where nothing matches, the page offers what would", async () => {
    const app = await appWith(world.tally, shopEvents(COUNT));
    const page = await world.signIn(`/?app=${app.id}&name=signup&category=web`);
    await page.getByText(/No events match these 2 filters/).first().waitFor();
    await page.getByRole("button", { name: /Remove/ }).first().click();
    await page.getByRole("region", { name: "Names" }).getByText(/signup|page_view/).first().waitFor();
});
