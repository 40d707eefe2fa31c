// The page of errors: the list, what people say about errors and take back, one error, and who sees what.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { appWith, send, suite, until } from "./lib/suite.mjs";

const world = suite();
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MINUTE = 60_000;
const DAY = 86_400_000;

/** Frames of a stack as Sentry's clients send them, the innermost first. */
const FRAMES = [
    { function: "emit", filename: "node_modules/events/index.js", lineno: 11, in_app: false },
    { function: "pay", filename: "src/pay.ts", lineno: 42, in_app: true, context_line: "  await charge(card);" },
    { function: "handle", filename: "node_modules/express/router.js", lineno: 284, in_app: false },
];

/** `count` events of an error, the newest `minutes` ago and each a minute before the one after it. */
function occurrences(type, message, count, minutes, more = {}) {
    return Array.from({ length: count }, (_, at) => {
        const time = Date.now() - (minutes + at) * MINUTE;
        return {
            name: type,
            level: "ERROR",
            message,
            timestamp: new Date(time).toISOString(),
            id: `${type}-${message.slice(0, 20)}-${minutes}-${at}`,
            user_id: `user-${at % 3}`,
            stack: [{ type, value: message, frames: FRAMES }],
            tags: { release: "shop@1.4.0", environment: at % 4 ? "production" : "staging" },
            data: {
                plan: at % 2 ? "pro" : "free",
                breadcrumbs: [
                    { timestamp: new Date(time - 2_000).toISOString(), category: "navigation", message: "/cart to /pay" },
                    { timestamp: (time - 1_000) / 1000, category: "http", data: { status_code: 500 } },
                ],
            },
            ...more,
        };
    });
}

/** Some errors, the one that occurred last first. */
const some = () => [
    ...occurrences("PaymentDeclined", "card expired", 12, 1),
    ...occurrences("TimeoutError", "upstream did not answer", 3, 5, { level: "FATAL" }),
    ...occurrences("KeyError", "no such key", 30, 10),
    ...occurrences("OldError", "was there before", 2, 20),
    ...occurrences("OldError", "was there before", 2, (3 * DAY) / MINUTE),
];

/** `count` errors of one event each; `Error 0` occurred last. */
const many = count =>
    Array.from({ length: count }, (_, at) => occurrences(`Error${String(at).padStart(3, "0")}`, `failure of part ${"abcdefghij"[at % 10]}${"klmnopqrst"[Math.floor(at / 10) % 10]}`, 1, at + 1)).flat();

const rows = page => page.getByRole("list", { name: "Errors" }).locator(":scope > li");
const row = (page, text) => rows(page).filter({ hasText: text });
const issuesOf = async (app, query = "") => (await world.tally.call("GET", `/apps/${app.id}/issues?since=7d${query}`)).items;

async function open(app, query = "", path = `/?app=${app.id}&view=errors&since=7d${query}`) {
    const page = await world.signIn(path);
    await rows(page).first().waitFor();
    return page;
}

test("the list says what, where, how often and since when; order, state and search stand in the URL", async () => {
    const app = await appWith(world.tally, some());
    const page = await open(app);
    assert.equal(await rows(page).count(), 4);
    const first = rows(page).first();
    for (const text of ["PaymentDeclined", "card expired", "src/pay.ts:42 in pay", "shop@1.4.0", "NEW", "12"]) {
        await first.getByText(text, { exact: true }).waitFor();
    }
    assert.equal(await row(page, "OldError").getByText("NEW").count(), 0);
    assert.equal((await first.boundingBox()).height, 56);
    await first.getByRole("img", { name: /12 in all/ }).waitFor();

    await page.getByRole("group", { name: "Order" }).getByRole("button", { name: "Events" }).click();
    await until(async () => (await rows(page).first().innerText()).includes("KeyError"));
    assert.match(page.url(), /sort=count/);

    await page.keyboard.press("/");
    await page.keyboard.type("UPSTREAM");
    await until(async () => (await rows(page).count()) === 1);
    await row(page, "TimeoutError").waitFor();
    assert.match(page.url(), /q=UPSTREAM/);
    await page.reload();
    await row(page, "TimeoutError").waitFor();
    assert.equal(await rows(page).count(), 1);

    await page.getByRole("searchbox").fill("nothing has this");
    await page.getByText(/No open errors match/).waitFor();
    await page.getByRole("searchbox").fill("");
    await page.getByRole("navigation", { name: "State" }).getByRole("link", { name: "Resolved" }).click();
    await page.getByText(/No resolved errors/).waitFor();
});

test("an error is resolved from its row, and Undo within 8 s brings it back as it was", async () => {
    const app = await appWith(world.tally, some());
    const [issue] = await issuesOf(app, "&q=KeyError");
    await world.tally.call("PATCH", `/apps/${app.id}/issues/${issue.id}`, { state: "ignored", ignore_until: 5000 });
    const page = await open(app, "&state=ignored");
    await row(page, "KeyError").getByText(/Ignored for (5,000|4,\d+) more/).waitFor();
    await row(page, "KeyError").getByRole("button", { name: "Resolve KeyError" }).click();
    await page.getByRole("button", { name: "Resolve in the next release" }).click();
    await row(page, "KeyError").waitFor({ state: "detached" });
    const state = async () => (await issuesOf(app, "&q=KeyError"))[0];
    assert.deepEqual([(await state()).state, (await state()).resolved_in], ["resolved", "next release"]);
    await page.getByRole("button", { name: "Undo" }).click();
    await row(page, "KeyError").waitFor();
    await page.getByText("Undone.").waitFor();
    assert.equal((await state()).state, "ignored");
    assert.ok((await state()).ignored_for > 4000);
});

test("Shift selects a span; at most 6 requests run at once, and one that fails is told and stays", async () => {
    const app = await appWith(world.tally, many(15));
    const page = await open(app);
    page.expects(503);
    const boxes = rows(page).getByRole("checkbox");
    await boxes.nth(1).click();
    await boxes.nth(10).click({ modifiers: ["Shift"] });
    await page.getByText("10 selected").waitFor();
    let running = 0;
    let most = 0;
    let failed = false;
    await page.route(/\/issues\/[^/]+$/, async route => {
        running += 1;
        most = Math.max(most, running);
        // All that may run at once are there before the first is answered.
        await until(async () => most === 6 || running < 6);
        if (failed) {
            await route.continue();
        } else {
            failed = true;
            await route.fulfill({ status: 503, contentType: "application/problem+json", body: '{"detail": "Try again later."}' });
        }
        running -= 1;
    });
    await page.getByRole("button", { name: "Resolve the selected errors" }).click();
    await page.getByRole("button", { name: "Resolve", exact: true }).click();
    await page.getByText("Resolved 9 errors. 1 could not be changed: Try again later.").waitFor();
    await until(async () => (await rows(page).count()) === 6);
    assert.ok(most <= 6 && most > 1, `${most} at once`);
    assert.equal((await issuesOf(app, "&state=open&limit=100")).length, 6);
    await page.getByRole("button", { name: "Undo" }).click();
    await until(async () => (await rows(page).count()) === 15);
    assert.equal((await issuesOf(app, "&state=open&limit=100")).length, 15);
});

test("the keyboard moves, selects, resolves, undoes and opens", async () => {
    const app = await appWith(world.tally, many(5));
    const page = await open(app);
    for (const key of ["j", "x", "j", "ArrowDown", "x"]) {
        await page.keyboard.press(key);
    }
    await page.getByText("2 selected").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("2 selected").waitFor({ state: "detached" });
    // The third has the focus.
    await page.keyboard.press("e");
    await row(page, "Error002").waitFor({ state: "detached" });
    await page.keyboard.press("u");
    await row(page, "Error002").waitFor();
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /Error00/ }).waitFor();
    await page.goBack();
    await rows(page).nth(4).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Resolve the selected errors").waitFor();
});

test("a list longer than a page goes on", async () => {
    const app = await appWith(world.tally, many(70));
    const page = await open(app);
    assert.equal(await rows(page).count(), 50);
    await page.getByRole("checkbox", { name: "Select all of this page" }).click();
    await page.getByText("50 selected").waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    await until(async () => (await rows(page).count()) === 70);
});

test("one error: its numbers, the newest event with the app's own calls, breadcrumbs, counts, and the others", async () => {
    const app = await appWith(world.tally, some());
    const page = await open(app);
    await row(page, "PaymentDeclined").getByRole("link").click();
    await page.getByRole("heading", { name: "PaymentDeclined card expired" }).waitFor();
    await page.getByRole("slider", { name: "Events over time" }).waitFor();
    const event = page.getByRole("region", { name: "Event", exact: true });
    const calls = event.locator(".frames > li");
    await calls.first().waitFor();
    assert.match(await calls.nth(0).innerText(), /Show 1 call/);
    assert.match(await calls.nth(1).innerText(), /pay\s+src\/pay.ts:42/);
    await event.getByText("await charge(card);").waitFor();
    assert.equal(await event.getByText("express").count(), 0);
    await calls.nth(0).getByRole("button").click();
    await event.getByText("node_modules/events/index.js:11").waitFor();
    await event.getByText("/cart to /pay").waitFor();
    await event.getByText('{"status_code":500}').waitFor();

    const counts = page.getByRole("region", { name: "Counts by value" });
    await counts.getByRole("table", { name: "Environment" }).getByRole("row", { name: /production\s+9/ }).waitFor();
    await counts.getByRole("table", { name: "Release" }).getByRole("row", { name: /shop@1.4.0\s+12/ }).waitFor();
    await until(async () => (await counts.getByRole("combobox").locator("option").count()) > 1);
    await counts.getByRole("combobox").selectOption("plan");
    await counts.getByRole("table", { name: "plan" }).getByRole("row", { name: /pro\s+6/ }).waitFor();

    await event.getByRole("heading", { name: /Newest event/ }).waitFor();
    for (let at = 2; at <= 12; at += 1) {
        await event.getByRole("button", { name: "Older" }).click();
        await event.getByRole("heading", { name: new RegExp(`Event ${at} of 12`) }).waitFor();
    }
    assert.ok(await event.getByRole("button", { name: "Older" }).isDisabled());
    await event.getByRole("button", { name: "Newer" }).click();
    await event.getByRole("heading", { name: /Event 11 of 12/ }).waitFor();

    await page.getByRole("button", { name: "Resolve", exact: true }).click();
    await page.getByRole("button", { name: "Ignore for 1 h" }).click();
    await page.getByText(/Ignored until/).waitFor();
    await page.getByRole("link", { name: "All events of this error" }).click();
    await page.getByRole("treegrid").getByRole("row").nth(12).waitFor();
    assert.match(page.url(), /view=events/);
    assert.match(page.url(), /group=m/);
});

test("what is not all is said: of the list, of an error, and of what its newest events tell", async () => {
    const app = await appWith(world.tally, some());
    const page = await world.signIn("/");
    await page.route(/\/issues(\/[^?]+)?\?/, async route => {
        const reply = await route.fetch();
        const body = { ...(await reply.json()), complete: false, looked_at: 1_000, looked_at_all: false };
        await route.fulfill({ response: reply, json: body });
    });
    await page.goto(`/?app=${app.id}&view=errors&since=7d`);
    await page.getByText(/Some are missing or counted in part/).waitFor();
    await row(page, "KeyError").getByRole("link").click();
    await page.getByText(/Counted in part/).waitFor();
    await page.getByText("Of the newest 1,000 events").waitFor();
    await page.getByText("Users of the newest 1,000").waitFor();
});

test("nothing moves while the list and an error are loaded", async () => {
    const app = await appWith(world.tally, some());
    const [issue] = await issuesOf(app);
    for (const width of [1440, 320]) {
        const page = await world.signIn("/", { viewport: { width, height: 900 } });
        await page.addInitScript(() => {
            window.moved = 0;
            const add = list => list.getEntries().forEach(each => (window.moved += each.hadRecentInput ? 0 : each.value));
            new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
        });
        for (const query of ["", `&issue=${issue.id}`]) {
            await page.goto(`/?app=${app.id}&view=errors&since=7d${query}`);
            await page.getByText("PaymentDeclined").first().waitFor();
            await page.waitForLoadState("networkidle");
            const moved = await page.evaluate(() => window.moved);
            assert.ok(moved < 0.01, `${width} px, ${query}: ${moved}`);
        }
    }
});

test("a resolved error that occurs again is open, and marked", async () => {
    const app = await appWith(world.tally, some());
    const [issue] = await issuesOf(app, "&q=KeyError");
    await world.tally.call("PATCH", `/apps/${app.id}/issues/${issue.id}`, { state: "resolved" });
    const page = await world.signIn(`/?app=${app.id}&view=errors&since=7d&state=resolved`);
    await row(page, "KeyError").getByText(/Resolved/).waitFor();
    // What counts knows of the change within half a minute.
    await until(async () => {
        await send(world.tally, app.id, occurrences("KeyError", "no such key", 1, 0, { id: undefined }));
        return (await issuesOf(app, "&q=KeyError"))[0].regressed;
    }, 90);
    await page.getByRole("navigation", { name: "State" }).getByRole("link", { name: "Open" }).click();
    await row(page, "KeyError").getByText("REGRESSED").waitFor();
});

test("whoever may not change an error sees no way to; a bounded key sees no errors", async () => {
    const app = await appWith(world.tally, some());
    const keyOf = async bounds => (await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], label: "A reader", ...bounds })).key;
    const visitor = await world.profile();
    await visitor.goto(`/?app=${app.id}&view=errors&since=7d#key=${await keyOf({})}`);
    await rows(visitor).first().waitFor();
    assert.equal(await visitor.getByRole("checkbox").count(), 0);
    assert.equal(await visitor.getByRole("button", { name: /Resolve/ }).count(), 0);
    await row(visitor, "KeyError").getByRole("link").click();
    await visitor.getByRole("heading", { name: /KeyError/ }).waitFor();
    assert.equal(await visitor.getByRole("button", { name: /Resolve/ }).count(), 0);

    const bounded = await world.profile();
    await bounded.goto(`/?app=${app.id}&view=errors&since=7d#key=${await keyOf({ statistics_only: true })}`);
    await bounded.getByRole("region", { name: "Names" }).getByText("KeyError").waitFor();
    assert.equal(await bounded.getByRole("link", { name: "Errors", exact: true }).count(), 0);
    assert.ok(bounded.requested.every(request => !/\/issues/.test(request.url())));
});

const HOSTILE = `"><img src=x onerror="window.broken=1"><script>window.broken=1</script>\u202e{{7*7}}`;

test("what events hold is text, however long or empty it is", async () => {
    const odd = {
        name: `type ${HOSTILE}`,
        message: `message ${HOSTILE} ${"long ".repeat(1_000)}`,
        stack: [{ type: HOSTILE, value: HOSTILE, frames: [{ function: HOSTILE, filename: HOSTILE, lineno: 1, in_app: true }] }],
        tags: { release: HOSTILE, [`tag ${HOSTILE}`]: HOSTILE },
        data: { breadcrumbs: [{ category: HOSTILE, message: HOSTILE, data: { [HOSTILE]: HOSTILE }, timestamp: HOSTILE }, null, {}, 4, { timestamp: 1e120 }] },
    };
    const app = await appWith(world.tally, [
        ...occurrences("hostile", "a", 1, 1, odd),
        ...occurrences("NoMessage", "", 1, 2, { message: undefined, fingerprint: "without", stack: undefined, tags: undefined, data: { breadcrumbs: "none" } }),
        ...occurrences("RightToLeft", "שגיאה בחיבור אל השרת", 1, 3),
    ]);
    const page = await open(app);
    await until(async () => (await rows(page).count()) === 3);
    for (const text of ["hostile", "NoMessage", "RightToLeft"]) {
        const found = text === "hostile" ? row(page, "onerror") : row(page, text);
        assert.equal((await found.boundingBox()).height, 56, text);
        await found.getByRole("link").click();
        await page.getByRole("heading", { name: text === "hostile" ? /type/ : text }).waitFor();
        await page.getByRole("region", { name: "Event", exact: true }).getByText("Received").waitFor();
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${text} is ${wider} px wider than the window`);
        await page.goBack();
        await rows(page).nth(2).waitFor();
    }
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.locator("img[src=x], main script").count(), 0);
});

test("an error that is not there, or not in this range, is said", async () => {
    const app = await appWith(world.tally, some());
    const [issue] = await issuesOf(app, "&q=KeyError");
    const page = await world.signIn(`/?app=${app.id}&view=errors&issue=${issue.id}&since=2026-01-01&until=2026-01-02`);
    await page.getByText("not in this range").waitFor();
    await page.getByText("No event of this error in this range.").waitFor();
    page.expects(404);
    await page.goto(`/?app=${app.id}&view=errors&issue=m0123456789abcdef`);
    await page.getByText(/could not be read \(404\)/).first().waitFor();
});

test("the code of the page is loaded with it, and not before", async () => {
    const app = await appWith(world.tally, some());
    const page = await world.signIn(`/?app=${app.id}&since=7d`);
    await page.getByRole("region", { name: "Names" }).getByText("KeyError").waitFor();
    await page.waitForLoadState("networkidle");
    const files = () => page.requested.map(request => request.url()).filter(url => /\/errors\.(js|css)$/.test(url));
    assert.deepEqual(files(), []);
    // A message of errors leads to its page.
    await page.getByRole("region", { name: "Messages" }).getByRole("link", { name: /no such key/ }).click();
    await page.getByRole("heading", { name: /KeyError/ }).waitFor();
    assert.equal(files().length, 2);
});

test("where the code of the page is gone, since the server has another version, the page says what to do", async () => {
    const app = await appWith(world.tally, some());
    const page = await world.signIn(`/?app=${app.id}&since=7d`);
    page.expects(404);
    await page.route(/\/errors\.js$/, route => route.fulfill({ status: 404, body: "" }));
    await page.getByRole("link", { name: "Errors", exact: true }).click();
    await page.getByText(/Load the page again/).waitFor();
    await page.getByRole("link", { name: "Overview", exact: true }).click();
    await page.getByRole("region", { name: "Names" }).getByText("KeyError").waitFor();
});

test("no finding of axe, with a row selected and a menu open, light and dark, wide and narrow", async () => {
    const app = await appWith(world.tally, some());
    for (const [colorScheme, width] of [["light", 1440], ["dark", 768], ["light", 320], ["dark", 320]]) {
        const page = await world.signIn("/", { colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
        await page.goto(`/?app=${app.id}&view=errors&since=7d`);
        await rows(page).first().waitFor();
        await rows(page).nth(1).getByRole("checkbox").click();
        await rows(page).nth(2).getByRole("button").last().click();
        await check(page, `list, ${colorScheme}, ${width}`);
        await page.keyboard.press("Escape");
        await rows(page).first().getByRole("link").click();
        await page.getByRole("region", { name: "Event", exact: true }).getByText("Received").waitFor();
        await check(page, `error, ${colorScheme}, ${width}`);
    }

    async function check(page, what) {
        await page.waitForLoadState("networkidle");
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${what} is ${wider} px wider than the window`);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => globalThis.axe.run({ rules: { "target-size": { enabled: true } } }));
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(each => each.html).join(" ")}`);
        assert.deepEqual(found, [], what);
    }
});
