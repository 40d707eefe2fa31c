// The visits of a web page: numbers that a computation here confirms, tables that filter, goals, and who is there now.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { appWith, send, suite, until } from "./lib/suite.mjs";

const world = suite();
/** A server that reads little in one request. */
const scarce = suite({ settings: { TALLY_READ_BUDGET: "20" } });
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = new URL("../../target/dashboard/screenshots/", import.meta.url).pathname;
const HOSTILE = `<img src=x onerror="window.broken=1">`;
const [SECOND, MINUTE, DAY] = [1_000, 60_000, 86_400_000];
const GAP = 30 * MINUTE;

/** 12:00 UTC of a day some days ago, by the days where the browser is. */
const today = new Intl.DateTimeFormat("sv", { timeZone: "Europe/Berlin" }).format();
const noon = ago => Date.parse(`${today}T12:00:00Z`) - ago * DAY;

/** Views of pages by a visitor from a time on: `[path, seconds after it, seconds seen]`, or `[name, seconds]` of an event. */
function visit(visitor, start, steps, data = {}, user = null) {
    const common = { session_id: visitor, ...(user ? { user_id: user } : {}) };
    let path = "";
    return steps.flatMap(([what, after, seen], at) => {
        const timestamp = new Date(start + after * SECOND).toISOString();
        const id = `${visitor}-${start}-${at}`;
        if (!what.startsWith("/")) return [{ ...common, id, name: what, timestamp, data: { ...data, path } }];
        path = what;
        const time = { ...common, id: `${id}-seen`, name: "engagement", timestamp, data: { ...data, path, duration_ms: seen * SECOND } };
        return [{ ...common, id, name: "pageview", timestamp, data: { ...data, path } }, ...(seen ? [time] : [])];
    });
}

const DE = { country: "DE", language: "de", device: "desktop", browser: "Firefox", os: "Linux", referrer_host: "news.example" };
const US = { country: "US", language: "en-US", device: "mobile", browser: "Safari", os: "iOS", utm_source: "mail", utm_medium: "letter", utm_campaign: "spring" };
const BARE = { device: "desktop", browser: "Chrome" };

/** Nine visits within a week, and two in the week before. */
const site = () => [
    ...visit("a1", noon(1), [["/", 0, 20], ["/pricing", 40, 30], ["signup", 60], ["/thanks", 80, 10]], DE),
    ...visit("a2", noon(1) + 5 * MINUTE, [["/pricing", 0, 65]], US),
    ...visit("a3", noon(2), [["/", 0, 10], ["/docs", 20, 300]], DE),
    ...visit("a4", noon(2), [["/docs", 0, 0]], BARE),
    // Somebody who returns after an hour, on the same day.
    ...visit("a5", noon(3), [["/", 0, 5], ["/pricing", 10, 5]], US),
    ...visit("a5", noon(3) + 60 * MINUTE, [["/", 0, 5]], US),
    // A user who returns on another day is one visitor.
    ...visit("a6", noon(4), [["/", 0, 8], ["signup", 30]], US, "ann"),
    ...visit("a7", noon(3), [["/pricing", 0, 8], ["outbound", 9]], DE, "ann"),
    ...visit("a8", noon(5), [["/", 0, 1]], BARE),
    ...visit("b1", noon(9), [["/", 0, 30], ["/pricing", 40, 30]], DE),
    ...visit("b2", noon(10), [["/docs", 0, 10]], US),
];

const isView = event => event.name === "pageview";
const recent = event => Date.parse(event.timestamp) > noon(7.5);
const week = events => events.filter(recent);
const weekBefore = events => events.filter(event => !recent(event));

/** Items by a key, as `Map.groupBy` of newer runtimes. */
function groupBy(items, keyOf) {
    const groups = new Map();
    for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
    return groups;
}

/** What the page is to tell of events, computed from what a visit is. */
function told(events, matches = () => true) {
    const byVisitor = groupBy(events, event => event.user_id ?? event.session_id);
    const all = [...byVisitor].flatMap(([visitor, own]) => {
        const visits = [];
        for (const event of own.toSorted((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp))) {
            const at = Date.parse(event.timestamp);
            const end = at + (event.data.duration_ms ?? 0);
            const last = visits.at(-1);
            if (last && at < last.end + GAP) {
                last.events.push(event);
                last.end = Math.max(last.end, end);
            } else {
                visits.push({ visitor, at, end, events: [event] });
            }
        }
        return visits;
    });
    const visits = all.filter(each => each.events.some(isView) && each.events.some(matches));
    const views = visits.flatMap(each => each.events).filter(event => isView(event) && matches(event)).length;
    const bounces = visits.filter(each => each.events.filter(isView).length === 1 && each.events.every(event => isView(event) || event.name === "engagement"));
    const seconds = visits.reduce((sum, each) => sum + Math.floor((each.end - each.at) / SECOND), 0);
    return { visits, visitors: new Set(visits.map(each => each.visitor)).size, views, bounce: bounces.length / visits.length, mean: seconds / visits.length, bounces };
}

const percent = share => `${Number((share * 100).toFixed(1))}%`;
const clock = seconds => (Math.round(seconds) >= 60 ? `${Math.floor(Math.round(seconds) / 60)}m ${Math.round(seconds) % 60}s` : `${Math.round(seconds)}s`);
const change = (now, before) => {
    const part = (now - before) / before;
    const text = Math.abs(part * 100).toFixed(Math.abs(part) < 0.1 ? 1 : 0);
    return Number(text) === 0 ? "0%" : `${part < 0 ? "−" : "+"}${text}%`;
};

/** The rows that a table about an attribute of views is to have: value, visitors, views. */
function grouped(events, path, isOf = isView) {
    const rows = [...groupBy(events.filter(isOf), event => event.data[path] ?? null)].map(([value, own]) => [
        value, new Set(own.map(event => event.user_id ?? event.session_id)).size, own.length,
    ]);
    return rows.toSorted((a, b) => b[2] - a[2]);
}

async function open(app, query = "", options = {}) {
    const page = await world.signIn("/", options);
    await page.goto(`/?app=${app.id}&view=web&since=7d${query}`);
    return page;
}

const figure = (page, name) => page.locator(".figures > div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");
const figureText = async (page, name) => (await figure(page, name).innerText()).split("\n");
const table = (page, name) => page.getByRole("table", { name, exact: true });
const panel = (page, name) => page.getByRole("region", { name, exact: true });
const choice = (page, name) => page.getByRole("combobox", { name, exact: true });

/** The cells of a table, once it is on the screen. */
async function rows(page, region, name = region) {
    await panel(page, region).scrollIntoViewIfNeeded();
    await table(page, name).waitFor();
    return table(page, name).evaluate(each => [...each.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText.trim())));
}

/** Rows in an order that does not depend on how equal counts are ordered. */
const sorted = all => all.map(each => each.map(String).join(" | ")).sort();

async function settled(page) {
    await page.waitForLoadState("networkidle");
    await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
}

const goalsQuery = (...goals) => `&goals=${encodeURIComponent(goals.map(encodeURIComponent).join())}`;

/** Scrolls through all tables, each of which is read when it is seen. */
async function seeAll(page) {
    for (const each of ["Pages", "Sources", "Campaigns", "Countries", "Devices", "Languages", "Events", "Goals"]) {
        await panel(page, each).scrollIntoViewIfNeeded();
        await panel(page, each).locator(".panel-body > *:not(.skeleton)").first().waitFor();
        await settled(page);
    }
}

test("the numbers of visits with their change, and a chart of each, are those of the events", async () => {
    const app = await appWith(world.tally, site());
    const page = await world.signIn(`/?app=${app.id}&since=7d`);
    await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Web" }).click();
    await page.waitForURL(/view=web/);
    const [now, before] = [told(week(site())), told(weekBefore(site()))];
    assert.deepEqual([now.visitors, now.visits.length, now.views], [7, 9, 13], "the computation here");
    const expected = {
        Visitors: [`${now.visitors}`, change(now.visitors, before.visitors)],
        Visits: [`${now.visits.length}`, change(now.visits.length, before.visits.length)],
        Views: [`${now.views}`, change(now.views, before.views)],
        "Views per visit": ["1.44", change(1.44, 1.5)],
        "Bounce rate": [percent(now.bounce), change(now.bounce, before.bounce)],
        Duration: [clock(now.mean), change(now.mean, before.mean)],
    };
    await figure(page, "Visitors").getByText(expected.Visitors[1]).waitFor();
    for (const [name, texts] of Object.entries(expected)) {
        assert.deepEqual(await figureText(page, name), texts, name);
    }
    // More bounces are worse, fewer are better.
    const worse = await figure(page, "Bounce rate").locator(".change").getAttribute("class");
    assert.match(worse, now.bounce > before.bounce ? /worse/ : /better/);
    await page.getByText("Without a user, a visitor counts once a day.").waitFor();

    await choice(page, "Interval").selectOption("DAY");
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const cells = page.getByRole("region", { name: "Values of the chart" }).getByRole("row");
    await until(async () => (await cells.count()) === 9);
    const read = () => cells.evaluateAll(all => all.slice(1).map(row => [...row.children].slice(1).map(cell => cell.innerText)));
    const days = [7, 6, 5, 4, 3, 2, 1, 0].map(ago => week(site()).filter(event => Math.abs(Date.parse(event.timestamp) - noon(ago)) < DAY / 2));
    const columns = days.map(events => {
        const { visitors, visits, views, bounce, mean } = told(events);
        return visits.length === 0
            ? ["0", "0", "0", "–", "–", "–"]
            : [visitors, visits.length, views, Number((views / visits.length).toFixed(2)), percent(bounce), clock(mean)].map(String);
    });
    // A day is compared with the one a week before.
    const was = [7, 6, 5, 4, 3, 2, 1, 0].map(ago => told(weekBefore(site()).filter(event => Math.abs(Date.parse(event.timestamp) - noon(ago + 7)) < DAY / 2)));
    assert.deepEqual(await read(), columns.map(([visitors, ...others], at) => [visitors, `${was[at].visitors}`, ...others]));
    // Another number of the same reply asks for nothing.
    const asked = page.requested.length;
    await choice(page, "Show").selectOption("bounce_rate");
    await page.waitForURL(/metric=bounce_rate/);
    assert.deepEqual(await read(), columns.map(([a, b, c, d, bounce, f], at) => [bounce, was[at].visitors ? percent(was[at].bounce) : "–", a, b, c, d, f]));
    assert.ok(page.requested.slice(asked).every(request => !/stats\/(web|groups)\?since=7d/.test(request.url())));
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const plot = page.getByRole("slider", { name: "Visits over time" });
    await until(async () => (await plot.locator("path.chart-line").count()) === 2, 10);
    await plot.focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    assert.match(await plot.getAttribute("aria-valuetext"), new RegExp(`Bounce rate ${columns[6][4]} Before –$`));

    await page.getByRole("button", { name: "Compare" }).click();
    await until(async () => (await figureText(page, "Visitors")).length === 1);
    const other = await world.signIn("/");
    await other.goto(page.url());
    await figure(other, "Visitors").waitFor();
    assert.deepEqual(await figureText(other, "Visitors"), await figureText(page, "Visitors"));
});

test("each table has the views, visitors and change by its attribute", async () => {
    const app = await appWith(world.tally, site());
    const page = await open(app);
    const events = week(site());
    const beforeOf = (path, value) => weekBefore(site()).filter(event => isView(event) && (event.data[path] ?? null) === value).length;
    const names = { DE: "Germany DE", US: "United States US", de: "German de", "en-US": "American English en-US" };
    const tables = [
        ["Pages", "Pages", null, "path", null],
        ["Sources", "Sources", null, "referrer_host", "Direct / none"],
        ["Campaigns", "Campaigns", null, "utm_campaign", "none"],
        ["Campaigns", "Campaign sources", "Source", "utm_source", "none"],
        ["Campaigns", "Campaign media", "Medium", "utm_medium", "none"],
        ["Countries", "Countries", null, "country", "none"],
        ["Devices", "Devices", null, "device", "none"],
        ["Devices", "Browsers", "Browser", "browser", "none"],
        ["Devices", "Systems", "System", "os", "none"],
        ["Languages", "Languages", null, "language", "none"],
    ];
    for (const [region, name, tab, path, none] of tables) {
        if (tab) await panel(page, region).getByRole("button", { name: tab, exact: true }).click();
        const found = (await rows(page, region, name)).map(row => row.slice(0, 4));
        const expected = grouped(events, path).map(([value, visitors, views]) => {
            const before = beforeOf(path, value);
            return [value === null ? none : (names[value] ?? value), visitors, views, before === 0 ? "new" : change(views, before)];
        });
        assert.deepEqual(sorted(found), sorted(expected), name);
        assert.deepEqual(found.map(row => Number(row[2])), found.map(row => Number(row[2])).toSorted((a, b) => b - a), `${name}: most first`);
    }
    const { visits, bounces } = told(events);
    for (const [tab, name, at] of [["Entry", "Entry pages", 0], ["Exit", "Exit pages", -1]]) {
        await panel(page, "Pages").getByRole("button", { name: tab, exact: true }).click();
        const pageOf = each => each.events.filter(isView).at(at).data.path;
        const expected = [...groupBy(visits, pageOf)].map(([path, own]) => [path, own.length, percent(own.filter(each => bounces.includes(each)).length / own.length)]);
        assert.deepEqual(sorted((await rows(page, "Pages", name)).map(row => row.slice(0, 3))), sorted(expected), name);
    }
    await page.waitForURL(/pages=exit/);
    // Views and time on page are no events of this table.
    assert.deepEqual((await rows(page, "Events")).map(row => row.slice(0, 3)), [["signup", "2", "new"], ["outbound", "1", "new"]]);
});

test("a click on a value filters everything, back takes it away, and what has no value can be asked for", async () => {
    const app = await appWith(world.tally, site());
    const page = await open(app);
    await rows(page, "Pages");
    await table(page, "Pages").getByRole("button", { name: "/pricing", exact: true }).click();
    await page.waitForURL(/attr\.path=%2Fpricing/);
    const onPricing = told(week(site()), event => event.data.path === "/pricing");
    await until(async () => (await figureText(page, "Visitors"))[0] === `${onPricing.visitors}`);
    assert.equal((await figureText(page, "Visits"))[0], `${onPricing.visits.length}`);
    assert.equal((await figureText(page, "Views"))[0], `${onPricing.views}`);
    await until(async () => (await rows(page, "Pages")).length === 1);
    await page.goBack();
    await until(async () => (await figureText(page, "Visitors"))[0] === "7");
    await until(async () => (await rows(page, "Pages")).length === 4);
    await page.goForward();
    await until(async () => (await figureText(page, "Visitors"))[0] === `${onPricing.visitors}`);
    await page.goBack();

    await rows(page, "Countries");
    await table(page, "Countries").getByRole("button", { name: "none" }).click();
    await page.waitForURL(/attr\.country\[exists\]=false|attr\.country%5Bexists%5D=false/);
    await page.getByRole("list", { name: "Filters" }).getByText("is missing").waitFor();
    const nowhere = told(week(site()), event => event.data.country === undefined);
    await until(async () => (await figureText(page, "Visitors"))[0] === `${nowhere.visitors}`);
    await page.getByRole("button", { name: /^Remove attr\.country/ }).click();

    // By the name of an event: the visits that have it, and where it happened.
    await rows(page, "Events");
    await table(page, "Events").getByRole("button", { name: "signup", exact: true }).click();
    await page.waitForURL(/name=signup/);
    await until(async () => (await figureText(page, "Visitors"))[0] === "2");
    await until(async () => (await rows(page, "Pages")).map(row => row.slice(0, 3).join()).sort().join(" ") === "/,1,1 /pricing,1,1");
    await table(page, "Pages").getByRole("columnheader", { name: "Events" }).waitFor();
    // Values that were seen are offered where filters are written.
    await page.getByRole("combobox", { name: "Filter" }).focus();
    assert.ok((await page.locator("#filters option").evaluateAll(all => all.map(each => each.value))).includes("attr.path is /pricing"));
});

test("goals are made of events and pages, stand in the URL, and tell who reached them", async () => {
    const app = await appWith(world.tally, site());
    const page = await open(app);
    await panel(page, "Goals").scrollIntoViewIfNeeded();
    await panel(page, "Goals").getByText(/A goal is an event or a page/).waitFor();
    await rows(page, "Events");
    const flag = table(page, "Events").getByRole("button", { name: "Goal: signup" });
    await flag.focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/goals=/);
    await until(async () => (await flag.getAttribute("aria-pressed")) === "true");
    assert.ok(await flag.evaluate(each => each === document.activeElement), "the focus stays");
    const form = panel(page, "Goals").getByRole("textbox");
    await form.fill("/thanks");
    await form.press("Enter");
    await until(async () => (await rows(page, "Goals")).length === 2);
    const reached = matches => told(week(site()), matches).visitors;
    const expected = [
        ["signup", `${reached(event => event.name === "signup")}`, percent(reached(event => event.name === "signup") / 7), "✕"],
        ["/thanks page", `${reached(event => event.data.path === "/thanks")}`, percent(reached(event => event.data.path === "/thanks") / 7), "✕"],
    ];
    const found = async on => (await rows(on, "Goals")).map(row => row.map(cell => cell.replace(/\s+/g, " ")));
    assert.deepEqual(await found(page), expected);

    const other = await world.signIn("/");
    await other.goto(page.url());
    assert.deepEqual(await found(other), expected);
    // Of those from the US, as everything else on the page.
    await page.goto(`${page.url()}&attr.country=US`);
    const american = event => event.data.country === "US";
    const share = reached(event => american(event) && event.name === "signup") / reached(american);
    assert.deepEqual((await found(page))[0], ["signup", "1", percent(share), "✕"]);
    // A filter by another page leaves no way to ask for this one.
    await page.goto(`/?app=${app.id}&view=web&since=7d&attr.path=/docs${goalsQuery("attr.path=%2Fthanks", "attr.path=%2Fdocs")}`);
    assert.deepEqual(await found(page), [["/thanks page", "–", "–", "✕"], ["/docs page", "2", "100%", "✕"]]);
    await page.getByText(/A dash: a filter asks for something else/).waitFor();

    await page.getByRole("button", { name: "Remove the goal /thanks" }).click();
    await until(async () => (await rows(page, "Goals")).length === 1);
    // Eight at most, and nothing that is no goal.
    const many = Array.from({ length: 10 }, (_, at) => `name=goal-${at}`);
    await page.goto(`/?app=${app.id}&view=web&since=7d${goalsQuery("user_id=ann", "name[ne]=x", "%E0%A4%A", "", ...many)}`);
    await until(async () => (await rows(page, "Goals")).length === 5);
    await page.goto(`/?app=${app.id}&view=web&since=7d${goalsQuery(...many)}`);
    await until(async () => (await rows(page, "Goals")).length === 8);
    assert.ok(await form.isHidden());
    await rows(page, "Events");
    assert.ok(await table(page, "Events").getByRole("button", { name: "Goal: signup" }).isDisabled());
});

test("visitors of the last minutes are counted again and again, while somebody looks", async () => {
    const app = await appWith(world.tally, [
        ...site(),
        ...visit("n1", Date.now() - MINUTE, [["/", 0, 0]]),
        ...visit("n2", Date.now() - 2 * MINUTE, [["/", 0, 0]]),
        ...visit("n3", Date.now() - 20 * MINUTE, [["/", 0, 0]]),
    ]);
    const page = await world.signIn("/");
    await page.clock.install();
    await page.goto(`/?app=${app.id}&view=web&since=7d`);
    await page.getByText("2 visitors now").waitFor();
    const looks = () => page.requested.filter(request => /stats\/web\?since=5m/.test(request.url())).length;
    assert.equal(looks(), 1);
    await send(world.tally, app.id, visit("n4", Date.now() - MINUTE, [["/docs", 0, 0]]));
    await page.clock.runFor(31_000);
    await page.getByText("3 visitors now").waitFor();
    assert.equal(looks(), 2);
    const hide = hidden =>
        page.evaluate(value => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
            document.dispatchEvent(new Event("visibilitychange"));
        }, hidden);
    await hide(true);
    await page.clock.runFor(300_000);
    assert.equal(looks(), 2, "nobody sees it");
    await hide(false);
    await until(async () => looks() === 3);
    // The filters of the page apply.
    await page.goto(`/?app=${app.id}&view=web&since=7d&attr.path=/docs`);
    await page.getByText("1 visitor now").waitFor();
    // Another page looks no more.
    await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Overview" }).click();
    await page.waitForURL(/view=overview/);
    const left = looks();
    await page.clock.runFor(120_000);
    assert.equal(looks(), left);
});

test("what one question cannot read is told, and is compared with nothing", async () => {
    const padding = "x".repeat(9_000);
    const events = Array.from({ length: 300 }, (_, at) => visit(`wide-${at}`, noon(2) + at * MINUTE, [["/", 0, 0]], { padding })).flat();
    const app = await scarce.tally.app("wide-web");
    await scarce.tally.call("POST", `/apps/${app.id}/events`, events);
    const page = await scarce.signIn("/");
    // So small a budget may not be enough for the names.
    page.expects(400);
    await page.goto(`/?app=${app.id}&view=web&since=7d${goalsQuery("name=pageview")}`);
    await page.getByText(/Of the events from .* only: there are more than one request reads\./).waitFor();
    await settled(page);
    const visits = Number((await figureText(page, "Visits"))[0]);
    assert.ok(visits > 0 && visits < 300, `${visits}`);
    assert.equal((await figureText(page, "Visits")).length, 1, "no change");
    await panel(page, "Pages").getByText(/Of the events since .*: the range has more than one question may read\./).waitFor();
    assert.equal(await table(page, "Pages").getByRole("columnheader", { name: "Change" }).count(), 0);
    const [goal] = await rows(page, "Goals");
    assert.equal(goal[2], "–", "of a part there is no conversion");
    await panel(page, "Goals").getByText(/Of a part of the range/).waitFor();
    await page.getByRole("link", { name: "Show that part alone" }).click();
    await page.waitForURL(/until=/);
    await page.getByText(/Of the events from .* only/).waitFor({ state: "detached" });
    await settled(page);
    // The visit at which reading ended may be a part of it, or not.
    const alone = Number((await figureText(page, "Visits"))[0]);
    assert.ok(Math.abs(alone - visits) <= 1, `${alone} and ${visits}`);
});

test("an app without views shows the line that counts them, and the page once the first has come", async () => {
    const app = await appWith(world.tally, [{ name: "job done", id: "other", timestamp: new Date(noon(1)).toISOString() }]);
    const page = await world.signIn("/");
    await page.clock.install();
    await page.goto(`/?app=${app.id}&view=web&since=7d`);
    const snippet = page.getByRole("group", { name: "script" });
    assert.equal(await snippet.innerText(), `<script defer src="${world.tally.url}/tally.js" data-key="tly_in_…"></script>`);
    await page.getByText(/docs\/web-script\.md/).waitFor();
    assert.equal(await page.getByRole("table").count(), 0);
    await send(world.tally, app.id, visit("first", Date.now() - MINUTE, [["/", 0, 0]]));
    await page.clock.runFor(31_000);
    await until(async () => (await figure(page, "Visitors").count()) === 1 && (await figureText(page, "Visitors"))[0] === "1");
    await snippet.waitFor({ state: "detached" });
    // A range or a filter without views is no app without views.
    const yesterday = new Date(Date.now() - DAY).toISOString().slice(0, 10);
    await page.goto(`/?app=${app.id}&view=web&since=${new Date(Date.now() - 2 * DAY).toISOString().slice(0, 10)}&until=${yesterday}`);
    await page.getByText(/No page views in this range\. The last ones were on/).waitFor();
    await page.getByRole("link", { name: "Show the last 30 days" }).click();
    await figure(page, "Visitors").waitFor();
    await page.goto(`/?app=${app.id}&view=web&since=7d&attr.path=/nowhere`);
    await page.getByText("No visit of this range matches.").waitFor();
    assert.equal(await snippet.count(), 0);
});

test("tables are read once they are about to be seen, and six requests run at most", async () => {
    const app = await appWith(world.tally, site());
    const page = await world.signIn("/");
    let [running, most] = [0, 0];
    await page.route("**/stats/**", async route => {
        most = Math.max(most, ++running);
        const reply = await route.fetch().catch(() => null);
        running -= 1;
        if (reply) await route.fulfill({ response: reply }).catch(() => {});
    });
    const many = Array.from({ length: 8 }, (_, at) => `name=goal-${at}`);
    const groups = () => page.requested.filter(request => request.url().includes("stats/groups")).map(request => new URL(request.url()).searchParams.get("attr"));
    await page.goto(`/?app=${app.id}&view=web&since=7d${goalsQuery(...many)}`);
    await rows(page, "Pages");
    await settled(page);
    assert.ok(!groups().includes("language"), `${groups()}`);
    await rows(page, "Languages");
    assert.ok(groups().includes("language"));
    await rows(page, "Goals");
    assert.ok(most <= 6, `${most} at once`);
    assert.equal(new Set(groups()).size, groups().length, "each table is read once");
});

test("who may not read data is told why, and a view is shared by a link", async () => {
    const app = await appWith(world.tally, site());
    const key = async bounds => (await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], ...bounds })).key;
    const visitor = await world.profile();
    const go = (hash, query = "") => visitor.goto("about:blank").then(() => visitor.goto(`/?app=${app.id}&view=web&since=7d${query}#key=${hash}`));
    for (const bounds of [{ hide: ["data"] }, { statistics_only: true }]) {
        await go(await key(bounds));
        await visitor.getByText("This link shows no visits of a web page: it hides data.").waitFor();
        assert.ok(visitor.requested.every(request => !/stats\/(web|groups)/.test(request.url())));
    }
    visitor.expects(403);
    const detail = "The key does not allow it.";
    const refuse = route => route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ status: 403, detail }) });
    await visitor.route("**/stats/web?*", refuse);
    const open_ = await key({ hide: ["people"] });
    await go(open_);
    await visitor.getByText(`This link may not read it. ${detail}`).waitFor();
    assert.equal(await visitor.getByRole("table").count(), 0);
    await visitor.unroute("**/stats/web?*", refuse);
    await go(open_);
    await figure(visitor, "Visitors").getByText("7", { exact: true }).waitFor();

    const page = await open(app, `&attr.country=US${goalsQuery("name=signup")}`);
    await figure(page, "Visitors").waitFor();
    await page.getByRole("button", { name: "Share" }).click();
    const dialog = page.getByRole("dialog");
    assert.ok(await dialog.getByLabel("sees statistics only, no single events").isDisabled());
    assert.ok(await dialog.getByLabel("sees no data, tags and stacks").isDisabled());
    await dialog.getByText("rolling").click();
    await dialog.getByRole("button", { name: "Create link" }).click();
    const other = await world.profile();
    await other.goto(await dialog.locator("pre").first().innerText());
    const american = told(week(site()), event => event.data.country === "US");
    await figure(other, "Visitors").getByText(`${american.visitors}`, { exact: true }).waitFor();
    assert.equal((await rows(other, "Goals"))[0][0], "signup");
});

test("hostile values stay text", async () => {
    const data = Object.fromEntries(["country", "language", "device", "browser", "os", "referrer_host", "utm_source", "utm_medium", "utm_campaign"].map(each => [each, HOSTILE]));
    const long = `/${HOSTILE}${"x".repeat(2_000)}`;
    const app = await appWith(world.tally, [
        ...visit("h1", noon(1), [[long, 0, 5], [HOSTILE, 6]], data),
        ...visit("h2", noon(1), [["/", 0, 5]], { country: "__proto__", language: "constructor", device: 7, browser: true }),
    ]);
    const page = await world.signIn("/");
    page.expects(400);
    const text = encodeURIComponent(encodeURIComponent(HOSTILE));
    for (const query of [
        goalsQuery(`name=${encodeURIComponent(HOSTILE)}`, `attr.path=${encodeURIComponent(long.slice(0, 300))}`),
        `&pages=entry&campaigns=source&devices=browser&metric=mean_seconds`,
        `&pages=exit&campaigns=medium&devices=os`,
        `&pages=${text}&campaigns=${text}&devices=${text}&all=${text}&metric=${text}&goals=${text}&interval=${text}&chart=${text}`,
    ]) {
        await page.goto(`/?app=${app.id}&view=web&since=7d${query}`);
        await figure(page, "Visitors").waitFor();
        await seeAll(page);
        assert.equal(await page.evaluate(() => window.broken), undefined, query);
        assert.equal(await page.locator("img, main script").count(), 0, query);
        assert.ok((await panel(page, "Countries").innerText()).includes("<img"), `${query}: ${await panel(page, "Countries").innerText()}`);
    }
    assert.deepEqual((await rows(page, "Countries")).map(row => row[0]).sort(), ["__proto__", HOSTILE].sort());
});

const SIZES = process.env.TALLY_TESTS_SHORT ? [1440, 320] : [1440, 768, 390, 320];
for (const scheme of ["light", "dark"]) {
    for (const width of SIZES) {
        test(`${scheme}, ${width} px: axe finds nothing, nothing scrolls sideways, and nothing moves`, async () => {
            const app = await appWith(world.tally, site());
            mkdirSync(SCREENSHOTS, { recursive: true });
            const page = await world.signIn("/", { colorScheme: scheme, viewport: { width, height: 900 }, bypassCSP: true });
            await page.addInitScript(() => {
                window.moved = 0;
                const add = list => list.getEntries().forEach(each => (window.moved += each.hadRecentInput ? 0 : each.value));
                new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
            });
            for (const [name, query] of Object.entries({
                web: goalsQuery("name=signup", "attr.path=%2Fthanks"),
                "web rates": "&metric=bounce_rate&interval=DAY&pages=entry&all=pages&attr.country[exists]=true",
                "web table": "&chart=table&interval=DAY",
            })) {
                await page.goto(`/?app=${app.id}&view=web&since=7d${query}`);
                await figure(page, "Visitors").waitFor();
                await seeAll(page);
                const moved = await page.evaluate(() => window.moved);
                assert.ok(moved < 0.01, `${name}: ${moved}`);
                await page.evaluate(() => scrollTo(0, 0));
                await page.screenshot({ path: `${SCREENSHOTS}${name.replaceAll(" ", "-")}-${scheme}-${width}.png`, fullPage: true });
                const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                assert.ok(wider <= 0, `${name} is ${wider} px wider than the window`);
                await page.evaluate(AXE);
                const { violations } = await page.evaluate(() => globalThis.axe.run({ rules: { "target-size": { enabled: true } } }));
                assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(each => each.html).join(" ")}`), [], name);
            }
        });
    }
}
