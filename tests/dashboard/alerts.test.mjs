// Alert rules: the list, the form with its preview, what is shown once, tests, history, and who may change what.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, test } from "node:test";

import { appWith, suite, until } from "./lib/suite.mjs";

/** What the receiver of webhooks got. */
const received = [];
const receiver = createServer((request, reply) => {
    let body = "";
    request.on("data", part => (body += part));
    request.on("end", () => {
        received.push({ path: request.url, headers: request.headers, body });
        reply.statusCode = request.url.startsWith("/gone") ? 410 : 200;
        reply.end("no more");
    });
});
await new Promise(resolve => receiver.listen(0, "127.0.0.1", resolve));
const HOST = `127.0.0.1:${receiver.address().port}`;
after(() => receiver.close());

const world = suite({ settings: { TALLY_WEBHOOK_ALLOW: HOST } });
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MINUTE = 60_000;

/** Events of the last hours: a burst of 30 errors three hours ago, and a page view now and then. */
const some = () => [
    ...Array.from({ length: 30 }, (_, at) => event("error", "ERROR", 180 * MINUTE + at * 1_000, `burst-${at}`)),
    ...Array.from({ length: 10 }, (_, at) => event("page_view", "INFO", (at + 1) * 10 * MINUTE, `view-${at}`)),
];

function event(name, level, ago, id) {
    const message = level === "ERROR" ? "card expired" : undefined;
    return { name, level, message, id, timestamp: new Date(Date.now() - ago).toISOString() };
}

const rulesOf = async app => (await world.tally.call("GET", `/apps/${app.id}/alerts`)).items;
const make = (app, rule) => world.tally.call("POST", `/apps/${app.id}/alerts`, rule);
const hook = (path = "/hook", name = "#ops") => ({ type: "webhook", name, url: `http://${HOST}${path}` });
const burst = (more = {}) => ({ filter: { level: ["ERROR"] }, window: "5m", condition: { above: 20 }, ...more });
const rows = page => page.getByRole("list", { name: "Alert rules" }).locator(":scope > li");
const row = (page, text) => rows(page).filter({ hasText: text });

async function open(app, query = "", options = {}) {
    const page = await world.signIn("/", options);
    await page.goto(`/?app=${app.id}&view=alerts${query}`);
    return page;
}

test("a new app has two rules, which tell nobody; a rule reads as a sentence with its state and channels", async () => {
    const app = await appWith(world.tally, some());
    await rulesOf(app);
    await make(app, burst({ for: "2m", channels: [hook()] }));
    await make(app, burst({ name: "Too quiet", condition: { below: 1 }, enabled: false }));
    const page = await open(app);
    await until(async () => (await rows(page).count()) === 4);
    await row(page, "an issue is new").getByText("No channel: nobody is told").waitFor();
    const rule = row(page, "Tell #ops when ERROR > 20 in 5 min, for 2 min");
    await rule.getByText("Webhook · #ops · 127.0.0.1").waitFor();
    assert.match(await rule.innerText(), /OK since \w+ \d+, \d\d:\d\d/);
    // A name by default says nothing that the sentence does not.
    assert.ok((await rule.innerText()).startsWith("Tell #ops"));
    const off = row(page, "Too quiet");
    await off.getByText("Off").waitFor();
    await off.getByRole("switch").check();
    await off.getByText(/OK since/).waitFor();
    assert.ok(await off.getByRole("switch").evaluate(each => each === document.activeElement), "the focus stays");
    assert.equal((await rulesOf(app)).find(each => each.name === "Too quiet").enabled, true);
});

test("a report is asked for by period, day, time and zone, and its form has nothing else", async () => {
    const app = await appWith(world.tally, some());
    const page = await open(app);
    await page.getByRole("button", { name: "New rule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Tell when" }).selectOption("report");
    assert.ok(!(await dialog.getByRole("combobox", { name: "On" }).isVisible()), "each day has no day of the week");
    for (const other of ["Number", "Within", "For", "Tell again while it fires"]) {
        assert.ok(!(await dialog.getByLabel(other, { exact: true }).isVisible()), other);
    }
    await dialog.getByRole("combobox", { name: "How often" }).selectOption("week");
    await dialog.getByRole("combobox", { name: "On" }).selectOption("friday");
    await dialog.getByLabel("At", { exact: true }).fill("07:30");
    await dialog.getByRole("combobox", { name: "By the clocks of" }).selectOption("Europe/Berlin");
    await dialog.getByLabel("ERROR", { exact: true }).check();
    await dialog.getByRole("combobox", { name: "Type" }).selectOption("email");
    await dialog.getByRole("textbox", { name: "Addresses" }).fill("ops@shop.example");
    await dialog.getByRole("button", { name: "Create" }).click();
    await row(page, "Friday").waitFor();
    const made = (await rulesOf(app)).find(each => each.condition.report);
    assert.deepEqual(made.condition, { report: "week", at: "07:30", tz: "Europe/Berlin", weekday: "friday" });
    assert.deepEqual(made.filter, { level: ["ERROR"] });
    // It opens as it was made, and can become another.
    await row(page, "Friday").getByRole("button", { name: "Edit" }).click();
    assert.equal(await dialog.getByRole("combobox", { name: "On" }).inputValue(), "friday");
    await dialog.getByRole("combobox", { name: "How often" }).selectOption("day");
    await dialog.getByRole("button", { name: "Save" }).click();
    await until(async () => (await rulesOf(app)).some(each => each.condition.report === "day"));
});

test("a rule is made with a preview; the secret of its webhook is shown once, and can be replaced", async () => {
    const app = await appWith(world.tally, some());
    const page = await open(app);
    await page.getByRole("button", { name: "New rule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("spinbutton", { name: "Number" }).fill("20");
    await dialog.getByLabel("ERROR", { exact: true }).check();
    await dialog.getByRole("combobox", { name: "For", exact: true }).selectOption("2m");
    await dialog.getByRole("button", { name: "Preview" }).click();
    await dialog.getByText("Would have fired once in the last 7 days.").waitFor();
    await dialog.getByText("When ERROR > 20 in 5 min, for 2 min").waitFor();
    const fired = dialog.getByRole("list", { name: "When it would have fired" }).getByRole("listitem");
    assert.match(await fired.innerText(), /at most 30/);
    // What was told of another rule goes.
    await dialog.getByLabel("FATAL", { exact: true }).check();
    await fired.waitFor({ state: "detached" });

    await dialog.getByRole("combobox", { name: "Type" }).selectOption("webhook");
    await dialog.getByRole("textbox", { name: "URL" }).fill(`http://${HOST}/made`);
    await dialog.getByRole("button", { name: "Add a channel" }).click();
    await dialog.getByRole("combobox", { name: "Type" }).nth(1).selectOption("email");
    await dialog.getByRole("textbox", { name: "Addresses" }).fill("ops@shop.example\nboss@shop.example");
    await dialog.getByRole("button", { name: "Create" }).click();
    const secret = await dialog.locator("pre").innerText();
    assert.match(secret, /^whsec_/);
    await dialog.getByRole("button", { name: /^Copy secret/ }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await dialog.getByRole("button", { name: "Done" }).click();
    const rule = row(page, "when ERROR or FATAL > 20 in 5 min, for 2 min").or(row(page, "when FATAL or ERROR > 20"));
    await rule.getByText("E-mail · ops@shop.example, boss@shop.example").waitFor();
    assert.ok(!(await page.content()).includes(secret), "the secret is shown once");

    await rule.getByRole("button", { name: /^More/ }).click();
    await page.getByRole("button", { name: "New secret for 127.0.0.1…" }).click();
    await dialog.getByRole("button", { name: "Make a new secret" }).click();
    const next = await dialog.locator("pre").innerText();
    assert.match(next, /^whsec_/);
    assert.notEqual(next, secret);
});

test("each condition can be typed, and a change keeps what the form does not show", async () => {
    const app = await appWith(world.tally, some());
    await rulesOf(app);
    const made = await make(app, burst({ filter: { level: "ERROR", "name[ne]": "signup", slug: "a" }, channels: [hook()] }));
    const page = await open(app);
    const dialog = page.getByRole("dialog");
    await row(page, "ERROR").getByRole("button", { name: /^Edit/ }).click();
    await dialog.getByText(/Also: .*name is not signup/).waitFor();
    await dialog.getByText("Webhook · #ops · 127.0.0.1").waitFor();
    await dialog.getByRole("combobox", { name: "Tell when" }).selectOption("changes_by");
    await dialog.getByRole("spinbutton", { name: "Percent" }).fill("50");
    await dialog.getByRole("combobox", { name: "Against" }).selectOption("7d");
    await dialog.getByRole("combobox", { name: "Direction" }).selectOption("up");
    await dialog.getByRole("combobox", { name: "Tell again" }).selectOption("1h");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const { id, sentence, history, since, ...rule } = await world.tally.call("GET", `/apps/${app.id}/alerts/${made.id}`);
    assert.deepEqual(rule.filter, { level: ["ERROR"], "name[ne]": ["signup"], slug: ["a"] });
    assert.deepEqual(rule.condition, { changes_by: 50, against: "1w", direction: "up" });
    assert.deepEqual([rule.renotify, rule.channels.map(each => each.id)], ["1h", made.channels.map(each => each.id)]);
    // The name was made of the condition, and follows it.
    assert.ok(sentence.endsWith(` when ${rule.name}`), `${rule.name}; ${sentence}`);

    // A rule about errors knows no window, category or preview.
    await row(page, "an issue is new").getByRole("button", { name: /^Edit/ }).click();
    assert.equal(await dialog.getByRole("combobox", { name: "Within" }).count(), 0);
    assert.equal(await dialog.getByRole("button", { name: "Preview" }).count(), 0);
    await dialog.getByLabel("FATAL", { exact: true }).check();
    await dialog.getByRole("button", { name: "Save" }).click();
    await row(page, "an issue of FATAL is new").waitFor();
});

test("errors of the API stand at their fields, and what was typed stays", async () => {
    const app = await appWith(world.tally, some());
    const page = await open(app);
    page.expects(400);
    page.expects(422);
    await page.getByRole("button", { name: "New rule" }).click();
    const dialog = page.getByRole("dialog");
    const number = dialog.getByRole("spinbutton", { name: "Number" });
    await number.fill("9000000000000000");
    await dialog.getByRole("textbox", { name: "Groups" }).fill("no group");
    await dialog.getByRole("textbox", { name: "URL" }).fill("http://10.0.0.1/hook");
    await dialog.getByRole("button", { name: "Create" }).click();
    await dialog.getByRole("alert").getByText("Change what is marked.").waitFor();
    const errorOf = control =>
        control.evaluate(each => (each.getAttribute("aria-describedby") ?? "").split(" ").map(id => document.getElementById(id)?.className === "field-error" ? document.getElementById(id).textContent : "").join(""));
    assert.match(await errorOf(number), /whole number/);
    assert.match(await errorOf(dialog.getByRole("textbox", { name: "Groups" })), /not a group/);
    await until(() => number.evaluate(each => each === document.activeElement));
    await number.fill("3");
    await dialog.getByRole("textbox", { name: "Groups" }).fill("");
    await dialog.getByRole("button", { name: "Create" }).click();
    const url = dialog.getByRole("textbox", { name: "URL" });
    await until(async () => (await errorOf(url)) !== "");
    assert.equal(await errorOf(number), "");
    assert.equal(await dialog.locator(".field-error").count(), 1);
    // The preview asks nothing of channels, and shows its errors alike.
    await number.fill("9000000000000000");
    await dialog.getByRole("button", { name: "Preview" }).click();
    await until(async () => /whole number/.test(await errorOf(number)));
    assert.equal((await rulesOf(app)).length, 2);
});

test("a test is sent to each channel, and what each said is shown", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ channels: [hook(`/good-${app.id}`), hook(`/gone-${app.id}`, "old")] }));
    const page = await open(app);
    const rule = row(page, "ERROR");
    await rule.getByRole("button", { name: /^Test/ }).click();
    const dialog = page.getByRole("dialog");
    assert.equal(received.some(({ path }) => path.includes(app.id)), false);
    await dialog.getByRole("button", { name: "Send" }).click();
    await dialog.getByRole("listitem").filter({ hasText: "#ops" }).getByText("It took the test.").waitFor();
    await dialog.getByRole("listitem").filter({ hasText: "old" }).getByText(/410/).waitFor();
    const [got] = received.filter(({ path }) => path === `/good-${app.id}`);
    assert.ok(got.headers["webhook-id"] && got.headers["webhook-signature"].startsWith("v1,"));
    await dialog.getByRole("button", { name: "Done" }).click();
    await row(page, "an issue is new").getByRole("button", { name: /^Test/ }).click();
    await page.getByText("The rule has no channel").waitFor();
});

test("a rule is snoozed, and told again; it is deleted when asked twice", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ channels: [hook()] }));
    const page = await open(app);
    const rule = row(page, "ERROR");
    await rule.getByRole("button", { name: /^Snooze/ }).click();
    await page.getByRole("button", { name: "For 8 hours" }).click();
    await rule.getByText(/Snoozed until/).waitFor();
    const until8 = Date.parse((await rulesOf(app)).find(each => each.snoozed_until).snoozed_until) - Date.now();
    assert.ok(Math.abs(until8 - 8 * 3_600_000) < 60_000);
    await rule.getByRole("button", { name: /^Snooze/ }).click();
    await page.getByRole("button", { name: "End the snooze" }).click();
    await rule.getByText(/Snoozed until/).waitFor({ state: "detached" });

    await rule.getByRole("button", { name: /^More/ }).click();
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await rule.waitFor();
    await rule.getByRole("button", { name: /^More/ }).click();
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await rule.waitFor({ state: "detached" });
    assert.equal((await rulesOf(app)).length, 2);
});

/** A history as the API tells it. */
const history = channel => [
    { at: "2026-11-26T10:10:00Z", found_at: "2026-11-26T10:11:02Z", from: "firing", to: "ok", value: 2, threshold: 20, condition: "ERROR > 20 in 5 min", deliveries: [{ channel, type: "webhook", status: "delivered", attempts: 1, next_at: null, error: null }] },
    { at: "2026-11-26T10:02:00Z", found_at: "2026-11-26T10:03:02Z", from: "ok", to: "firing", value: 34, threshold: 20, condition: "ERROR > 20 in 5 min", deliveries: [{ channel: "gone", type: "slack", status: "failed", attempts: 12, next_at: null, error: "answered 503" }] },
    { at: "2026-11-25T10:02:00Z", found_at: "2026-11-25T10:18:02Z", from: "ok", to: "unknown", value: null, threshold: 20, condition: "ERROR > 20 in 5 min", reason: "counting is behind", deliveries: [] },
    { at: "2026-11-24T10:02:00Z", found_at: "2026-11-24T10:03:02Z", from: "ok", to: "ok", value: null, threshold: null, condition: "an issue is new", issue: "m0123456789abcdef", issues: 1, deliveries: [{ channel, type: "webhook", status: "snoozed", attempts: 0, next_at: null, error: null }] },
    { at: "2026-11-24T09:02:00Z", found_at: "2026-11-24T10:03:02Z", from: "ok", to: "ok", value: null, threshold: null, condition: "an issue is new", issues: 14, deliveries: [{ channel, type: "webhook", status: "pending", attempts: 2, next_at: "2026-11-24T09:06:00Z", error: "timed out" }] },
];

/** Gives a rule a history. */
async function withHistory(page) {
    await page.route(/\/apps\/[^/]+\/alerts\/[^/?]{8,}$/, async route => {
        if (route.request().method() !== "GET") {
            return route.continue();
        }
        const reply = await route.fetch();
        const rule = await reply.json();
        return route.fulfill({ response: reply, json: { ...rule, state: "firing", history: history(rule.channels[0].id) } });
    });
}

test("the history of a rule says what happened, who was told, and leads to the error", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ channels: [hook()] }));
    const page = await open(app);
    await row(page, "ERROR").getByRole("link").click();
    await page.getByText("Nothing has happened in the last 90 days.").waitFor();
    await withHistory(page);
    await page.reload();
    const table = page.getByRole("table", { name: "History" });
    const line = at => table.locator("tbody tr").nth(at);
    await line(4).waitFor();
    assert.match(await line(0).innerText(), /Firing → ○ OK[\s\S]*2, threshold 20[\s\S]*Webhook · #ops · 127.0.0.1: ✓ delivered/);
    assert.match(await line(1).innerText(), /34, threshold 20[\s\S]*Slack, removed since: ✕ failed, 12 attempts\s+answered 503/);
    assert.match(await line(2).innerText(), /Unknown\s+counting is behind\s+not known, threshold 20\s+Nobody/);
    assert.match(await line(3).innerText(), /snoozed/);
    assert.match(await line(4).innerText(), /14 errors[\s\S]*not yet delivered, 2 attempts, tried again/);
    const link = await line(3).getByRole("link", { name: "One error" }).getAttribute("href");
    assert.match(link, /view=errors&issue=m0123456789abcdef/);
    await page.getByRole("link", { name: "All rules" }).click();
    await rows(page).first().waitFor();
});

test("the page of errors asks where new errors go, until somebody is told", async () => {
    const app = await appWith(world.tally, some());
    const page = await world.signIn(`/?app=${app.id}&view=errors&since=7d`);
    await page.getByRole("button", { name: "Where should new errors go?" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Type" }).selectOption("webhook");
    await dialog.getByRole("textbox", { name: "Name", exact: true }).fill("#errors");
    await dialog.getByLabel("When no events come for 15 min").check();
    await dialog.getByLabel("When errors have doubled against yesterday").check();
    page.expects(400);
    page.expects(422);
    await dialog.getByRole("textbox", { name: "URL" }).fill("http://10.0.0.1/hook");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.locator(".field-error").waitFor();
    await dialog.getByRole("textbox", { name: "URL" }).fill(`http://${HOST}/where`);
    await dialog.getByRole("button", { name: "Save" }).click();
    await until(async () => (await dialog.locator("pre").count()) === 4);
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Where should new errors go?" }).waitFor({ state: "hidden" });
    const rules = await rulesOf(app);
    assert.deepEqual(
        rules.map(({ sentence }) => sentence).sort(),
        [
            "Tell #errors when ERROR or FATAL in 1 h rises by 100% over 1 day before",
            "Tell #errors when a resolved issue occurs again",
            "Tell #errors when an issue is new",
            "Tell #errors when no events in 15 min",
        ],
    );
});

test("a reader sees rules and their history without actions; a key sees none", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ channels: [hook()] }));
    const page = await world.signIn("/");
    await page.route(/\/auth$/, async route => {
        const reply = await route.fetch();
        await route.fulfill({ response: reply, json: { ...(await reply.json()), role: "reader" } });
    });
    await page.goto(`/?app=${app.id}&view=alerts`);
    await row(page, "ERROR").getByText("Webhook · #ops · 127.0.0.1").waitFor();
    assert.equal(await page.getByRole("main").getByRole("button").count(), 0);
    assert.equal(await page.getByRole("switch").count(), 0);
    await row(page, "ERROR").getByRole("link").click();
    await page.getByRole("heading", { name: "History" }).waitFor();
    assert.equal(await page.getByRole("main").getByRole("button").count(), 0);
    await page.goto(`/?app=${app.id}&view=errors&since=7d`);
    await page.getByText("card expired").waitFor();
    assert.equal(await page.getByRole("button", { name: "Where should new errors go?" }).count(), 0);

    const { key } = await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], label: "A reader" });
    const visitor = await world.profile();
    await visitor.goto(`/?app=${app.id}&view=alerts&since=7d#key=${key}`);
    await visitor.getByRole("region", { name: "Names" }).getByText("page_view").waitFor();
    assert.equal(await visitor.getByRole("link", { name: "Alerts", exact: true }).count(), 0);
    assert.ok(visitor.requested.every(request => !/\/apps\/[^/]+\/alerts/.test(request.url())));
});

const HOSTILE = `"><img src=x onerror="window.broken=1"><script>window.broken=1</script>\u202e{{7*7}}`;

test("what rules and receivers say is text", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ name: HOSTILE, filter: { name: HOSTILE, "category[ne]": HOSTILE }, channels: [hook("/gone", HOSTILE), hook("/gone", "x".repeat(100))] }));
    const page = await open(app, "", { viewport: { width: 320, height: 900 } });
    await withHistory(page);
    await row(page, "onerror").getByRole("button", { name: /^Edit/ }).click();
    const dialog = page.getByRole("dialog");
    assert.equal(await dialog.getByRole("textbox", { name: "Names", exact: true }).inputValue(), HOSTILE);
    await narrow(page, "form");
    await dialog.getByRole("button", { name: "Preview" }).click();
    await dialog.getByText(/Would not have fired/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await row(page, "onerror").getByRole("button", { name: /^Test/ }).click();
    await dialog.getByRole("button", { name: "Send" }).click();
    await dialog.getByText(/410/).first().waitFor();
    await dialog.getByRole("button", { name: "Done" }).click();
    await narrow(page, "list");
    await row(page, "onerror").getByRole("link").click();
    await page.getByRole("table", { name: "History" }).waitFor();
    await narrow(page, "history");
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.locator("img[src=x], main script").count(), 0);
});

async function narrow(page, what) {
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wider <= 0, `${what} is ${wider} px wider than the window`);
}

test("the code of the page is loaded with it, and not before", async () => {
    const app = await appWith(world.tally, some());
    const page = await world.signIn(`/?app=${app.id}&view=errors&since=7d`);
    await page.getByText("card expired").waitFor();
    const files = () => page.requested.map(request => request.url()).filter(url => /\/alerts\.(js|css)$/.test(url));
    assert.deepEqual(files(), []);
    await page.getByRole("link", { name: "Alerts", exact: true }).click();
    await rows(page).first().waitFor();
    assert.equal(files().length, 2);
});

test("no finding of axe in the list, a menu, the form with errors, a secret and the history", async () => {
    const app = await appWith(world.tally, some());
    await rulesOf(app);
    await make(app, burst({ snoozed_until: "8h", channels: [hook(), { type: "email", to: ["ops@shop.example"] }] }));
    for (const [colorScheme, width] of [["light", 1440], ["dark", 768], ["light", 320], ["dark", 320]]) {
        const page = await open(app, "", { colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
        const what = `${colorScheme}, ${width}`;
        page.expects(400);
        page.expects(422);
        await rows(page).nth(2).waitFor();
        await rows(page).nth(2).getByRole("button", { name: /^More/ }).click();
        await check(page, `list, ${what}`);
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "New rule" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("combobox", { name: "Tell when" }).selectOption("changes_by");
        await dialog.getByRole("combobox", { name: "Type" }).selectOption("webhook");
        await dialog.getByRole("spinbutton", { name: "Percent" }).fill("9000000");
        await dialog.getByRole("textbox", { name: "URL" }).fill(`http://${HOST}/axe`);
        await dialog.getByRole("button", { name: "Create" }).click();
        await dialog.locator(".field-error").waitFor();
        await check(page, `form, ${what}`);
        await dialog.getByRole("combobox", { name: "Tell when" }).selectOption("above");
        await dialog.getByRole("spinbutton", { name: "Number" }).fill("5");
        await dialog.getByRole("button", { name: "Preview" }).click();
        await dialog.getByText(/Would have fired/).waitFor();
        await check(page, `preview, ${what}`);
        await dialog.getByRole("button", { name: "Create" }).click();
        await dialog.locator("pre").waitFor();
        await check(page, `secret, ${what}`);
        await dialog.getByRole("button", { name: "Done" }).click();
        await withHistory(page);
        await row(page, "ERROR").getByRole("link").click();
        await page.getByRole("table", { name: "History" }).waitFor();
        await check(page, `history, ${what}`);
    }

    async function check(page, what) {
        await page.waitForLoadState("networkidle");
        await narrow(page, what);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => globalThis.axe.run({ rules: { "target-size": { enabled: true } } }));
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(each => each.html).join(" ")}`);
        assert.deepEqual(found, [], what);
    }
});

test("a rule leads to the chart of what it counts, where its threshold is a line", async () => {
    const app = await appWith(world.tally, some());
    await make(app, burst({ window: "1h", channels: [hook()] }));
    await make(app, burst({ window: "5m", condition: { above: 7 } }));
    const page = await open(app);
    await row(page, "20 in 1 h").getByRole("link").click();
    await page.getByRole("link", { name: "What it counts, as a chart" }).click();
    const chart = page.getByRole("region", { name: "Chart" });
    await chart.getByRole("list", { name: "Thresholds" }).getByText("Tell #ops when ERROR > 20 in 1 h").waitFor();
    assert.equal(await chart.locator(".chart-threshold").count(), 1);
    // Of other events, it is none.
    await page.goto(`/?app=${app.id}&interval=HOUR`);
    await chart.getByRole("slider").waitFor();
    await page.waitForLoadState("networkidle");
    assert.equal(await chart.locator(".chart-threshold").count(), 0);
    // The first view of an app asks for no rules.
    const first = await world.signIn(`/?app=${app.id}`);
    await first.getByRole("region", { name: "Chart" }).getByRole("slider").waitFor();
    await first.waitForLoadState("networkidle");
    assert.ok(first.requested.every(request => !/\/apps\/[^/]+\/alerts$/.test(request.url())));
});
