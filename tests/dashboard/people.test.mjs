// What people did: sessions, users, funnels, retention, paths and numbers, each with exact figures of known events.

import assert from "node:assert/strict";
import { test } from "node:test";

import { appWith, suite, until } from "./lib/suite.mjs";

const world = suite();
/** A server that reads little in one request. */
const scarce = suite({ settings: { TALLY_READ_BUDGET: "20" } });
const HOSTILE = `<img src=x onerror="window.broken=1">`;
const DAY = 86_400_000;

/** 12:00 UTC of a day some days ago, by the days where the browser is. */
const today = new Intl.DateTimeFormat("sv", { timeZone: "Europe/Berlin" }).format();
const noon = ago => Date.parse(`${today}T12:00:00Z`) - ago * DAY;

/** What a user did on a day, in one session: names, and seconds after noon. */
function visit(user, ago, ...steps) {
    const country = ["u1", "u2"].includes(user) ? "DE" : "FR";
    return steps.map(([name, seconds, more = {}]) => ({
        name,
        id: `${user}-${ago}-${name}`,
        timestamp: new Date(noon(ago) + seconds * 1000).toISOString(),
        user_id: user,
        session_id: `${user}-s${ago}`,
        ...more,
        data: { country, ...more.data },
    }));
}

/** The first step of the funnel with the error that one met who left. */
const VIEWED = "1 view 6 100% Errors that those met who left after this step: it broke 1 of 2 who left";
const VIEW = ["view", 0];
const ADD = ["add", 30];
const pay = amount => ["pay", 90, { data: { amount } }];
const shop = () => [
    ...visit("u1", 3, VIEW, ADD, pay(10)),
    ...visit("u1", 2, VIEW),
    ...visit("u2", 3, VIEW, ADD, pay(20)),
    ...visit("u3", 3, VIEW, ADD),
    ...visit("u3", 1, VIEW),
    ...visit("u4", 2, VIEW, ADD),
    ...visit("u5", 2, VIEW),
    ...visit("u6", 2, VIEW, ["crash", 10, { level: "ERROR", message: "it broke" }]),
];

async function open(app, query = "", options = {}) {
    const page = await world.signIn("/", options);
    await page.goto(`/?app=${app.id}&view=people&since=7d${query}`);
    return page;
}

const tab = (page, name) => page.getByRole("navigation", { name: "People" }).getByRole("link", { name });
const figure = (page, name) => page.locator(".figures > div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");
const choice = (page, name) => page.getByRole("combobox", { name, exact: true });
const steps = page => page.getByRole("list", { name: "Steps" }).getByRole("listitem");
const bars = page => page.getByRole("list", { name: "Funnel" }).locator(":scope > li");
const shown = page => page.locator(".people-tab").innerText();

async function settled(page) {
    await page.waitForLoadState("networkidle");
    await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
}

/** The same URL in another browser shows the same. */
async function opensAgain(page) {
    await settled(page);
    const other = await world.signIn("/");
    await other.goto(page.url());
    await other.locator(".people-tab > *").first().waitFor();
    await until(async () => (await shown(other)) === (await shown(page)), 10).catch(async () => {
        assert.equal(await shown(other), await shown(page));
    });
}

test("the overview has cards of users and sessions with their change; with a filter there are none", async () => {
    const app = await appWith(world.tally, [...shop(), ...visit("u1", 9, VIEW), ...visit("u2", 9, VIEW), ...visit("u7", 9, VIEW)]);
    const page = await world.signIn(`/?app=${app.id}&since=7d`);
    const card = name => page.locator(".card").filter({ has: page.getByRole("heading", { name, exact: true }) });
    await card("Users").getByText("6", { exact: true }).waitFor();
    await card("Users").getByText("+100%").waitFor();
    await card("Sessions").getByText("8", { exact: true }).waitFor();
    await card("Sessions").getByText("+167%").waitFor();
    await page.goto(`/?app=${app.id}&since=7d&name=view`);
    await page.locator(".card").first().getByText("8", { exact: true }).waitFor();
    assert.equal(await card("Users").count(), 0);
    await page.goBack();
    await card("Users").getByRole("link", { name: "Users" }).click();
    await page.waitForURL(/view=people.*tab=users/);
    await figure(page, "Different users").getByText("6", { exact: true }).waitFor();
});

test("sessions: their figures, a chart, and each of them with a way to its time line and its user", async () => {
    const app = await appWith(world.tally, shop());
    const page = await world.signIn(`/?app=${app.id}&since=7d`);
    await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "People" }).click();
    await page.waitForURL(/view=people/);
    await figure(page, "Sessions").getByText("8", { exact: true }).waitFor();
    assert.equal(await figure(page, "Median duration").innerText(), "10 s");
    assert.equal(await figure(page, "90 % are no longer than").innerText(), "1 min 30 s");
    assert.equal(await figure(page, "With one event").innerText(), "37.5%");
    const rows = page.getByRole("list", { name: "Sessions" }).getByRole("listitem");
    await until(async () => (await rows.count()) === 8);
    assert.match(await rows.first().innerText(), /view[\s\S]*0 s[\s\S]*1 event\n[\s\S]*u3/);
    const crash = rows.filter({ hasText: "crash" });
    assert.match((await crash.innerText()).replaceAll("\n", " "), /view → crash .*10 s 2 events 1 error u6/);
    assert.equal((await rows.first().boundingBox()).height, 56);

    await choice(page, "Interval").selectOption("DAY");
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const cells = page.getByRole("region", { name: "Values of the chart" }).getByRole("row");
    await until(async () => (await cells.count()) === 9);
    const counts = await cells.evaluateAll(all => all.slice(1).map(row => row.children[1].innerText));
    assert.deepEqual(counts.filter(each => each !== "0"), ["3", "4", "1"]);
    await opensAgain(page);

    await crash.getByRole("link", { name: "u6" }).click();
    await page.waitForURL(/view=user.*user_id=u6/);
    await page.getByRole("heading", { name: /User u6/ }).waitFor();
    await page.goBack();
    await rows.filter({ hasText: "crash" }).getByRole("link").first().click();
    await page.waitForURL(/view=session.*session_id=u6-s2/);
    await page.getByRole("treegrid").getByText("crash").first().waitFor();
    const again = await page.context().newPage();
    await again.goto(page.url());
    await again.getByRole("treegrid").getByText("crash").first().waitFor();
    assert.equal(await again.locator(".timeline-head").innerText(), await page.locator(".timeline-head").innerText());
});

test("a list of sessions goes on by cursor, and a filter chooses whole sessions", async () => {
    const many = Array.from({ length: 120 }, (_, at) => ({
        name: at % 2 ? "odd" : "even",
        id: `many-${at}`,
        session_id: `many-${at}`,
        timestamp: new Date(Date.now() - (at + 1) * 60_000).toISOString(),
    }));
    const app = await appWith(world.tally, many);
    const page = await open(app);
    const rows = page.getByRole("list", { name: "Sessions" }).getByRole("listitem");
    await until(async () => (await rows.count()) === 50);
    const more = page.getByRole("button", { name: "Show more" });
    await more.focus();
    await page.keyboard.press("Enter");
    await until(async () => (await rows.count()) === 100);
    assert.ok(await rows.nth(50).getByRole("link").first().evaluate(each => each === document.activeElement), "the focus goes on");
    await more.click();
    await until(async () => (await rows.count()) === 120);
    await more.waitFor({ state: "detached" });
    await page.goto(`/?app=${app.id}&view=people&since=7d&name=odd`);
    await figure(page, "Sessions").getByText("60", { exact: true }).waitFor();
});

test("users: the number of different ones by interval, or of sessions", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app);
    await tab(page, "Users").click();
    await figure(page, "Different users").getByText("6", { exact: true }).waitFor();
    assert.equal(await figure(page, "Different users").innerText(), "6", "an exact number has no error");
    await choice(page, "Interval").selectOption("DAY");
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const values = async () =>
        (await page.getByRole("region", { name: "Values of the chart" }).getByRole("row").evaluateAll(all => all.slice(1).map(row => row.children[1].innerText))).filter(each => each !== "0");
    await until(async () => (await values()).join() === "3,4,1");
    await choice(page, "Count").selectOption("sessions");
    await figure(page, "Different sessions").getByText("8", { exact: true }).waitFor();
    await opensAgain(page);
});

test("an estimate says by how much it may be off", async () => {
    const crowd = Array.from({ length: 900 }, (_, at) => ({
        name: "view", id: `crowd-${at}`, user_id: `user-${at}`, timestamp: new Date(noon(2) + at * 1000).toISOString(),
    }));
    const app = await appWith(world.tally, crowd);
    const page = await open(app, "&tab=users");
    await page.getByText("± 3.3%").waitFor();
    await page.getByText("Numbers above 380 are estimates, within 3.3% in 95 of 100 cases.").waitFor();
});

test("a funnel is built by click and shows people, conversion, median time and who left", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app, "&tab=funnel");
    const add = page.getByRole("group", { name: "Add a step" });
    await page.getByText("Choose the events that people go through, in order: two or more.").waitFor();
    for (const name of ["view", "pay", "add"]) {
        await add.getByRole("button", { name, exact: true }).click();
    }
    await until(async () => (await steps(page).count()) === 3);
    // By keyboard, and the focus goes with the step.
    await page.getByRole("button", { name: "Move add up" }).focus();
    await page.keyboard.press("Enter");
    await until(async () => (await steps(page).allInnerTexts()).map(each => each.split("\n")[0]).join() === "view,add,pay");
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Move add up");

    await until(async () => (await bars(page).count()) === 3 && (await bars(page).last().innerText()).includes("pay"));
    const text = at => bars(page).nth(at).innerText().then(each => each.replace(/\s+/g, " "));
    // One of the two who left met an error after it.
    assert.equal(await text(0), VIEWED);
    assert.equal(await text(1), "2 add 4 66.7% 66.7% of the step before median 30 s 2 left (33.3%)");
    assert.equal(await text(2), "3 pay 2 33.3% 50% of the step before median 1 min 2 left (50%)");
    const width = await bars(page).nth(2).locator(".funnel-bar span").evaluate(bar => bar.offsetWidth / bar.parentElement.offsetWidth);
    assert.ok(Math.abs(width - 1 / 3) < 0.01, `${width}`);

    const people = page.getByRole("list", { name: "People", exact: true }).getByRole("listitem");
    const names = async () => (await people.allInnerTexts()).map(each => each.split("\n")[0]).sort().join();
    await page.getByRole("link", { name: "2 left (50%)" }).click();
    await until(async () => (await names()) === "u3,u4");
    await page.getByRole("heading", { name: "Went no further than add" }).waitFor();
    // The whole step is the link.
    await bars(page).nth(2).click({ position: { x: 300, y: 36 } });
    await until(async () => (await names()) === "u1,u2");
    await page.getByRole("heading", { name: "Reached pay" }).waitFor();

    await choice(page, "Divided by").selectOption("attr.country");
    const divided = page.getByRole("region", { name: "Divided by country" }).getByRole("row");
    await until(async () => (await divided.count()) === 3);
    const lines = (await divided.allInnerTexts()).map(each => each.replace(/\s+/g, " "));
    assert.deepEqual(lines.slice(1).sort(), ["DE 2 2 100% 2 100%", "FR 4 2 50% 0 0%"]);
    await opensAgain(page);

    // A condition of a step; what is no condition is told.
    const condition = page.getByRole("textbox", { name: "Condition of pay" });
    await condition.fill("amount");
    await condition.press("Enter");
    assert.match(await condition.evaluate(each => each.validationMessage), /Write a field, a verb and a value/);
    await condition.fill("amount >= 20");
    await condition.press("Enter");
    await until(async () => (await bars(page).count()) === 3 && (await text(2)).includes(" 1 16.7%"));
    await page.getByRole("button", { name: "Remove attr.amount ≥ 20", exact: true }).click();
    await until(async () => (await text(2)).includes(" 2 33.3%"));
    await choice(page, "Within").selectOption("30m");
    await choice(page, "Count").selectOption("session");
    await until(async () => (await text(0)).includes(" 8 100%"));
    await page.getByRole("button", { name: "Remove pay", exact: true }).click();
    await until(async () => (await bars(page).count()) === 2);
    await opensAgain(page);
});

test("the last change of a funnel wins, however slow the answers before it are", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app, `&tab=funnel&steps=${encodeURIComponent("name%3Dview,name%3Dadd")}`);
    await until(async () => (await bars(page).count()) === 2);
    let release = () => {};
    const held = new Promise(resolve => (release = resolve));
    await page.route("**/funnels", async route => {
        if (route.request().postData().includes('"session"')) await held;
        await route.continue().catch(() => {});
    });
    const asked = page.waitForRequest(request => request.url().endsWith("/funnels") && request.postData().includes('"session"'));
    await choice(page, "Count").selectOption("session");
    await asked;
    await choice(page, "Count").selectOption("user");
    await until(async () => (await bars(page).first().innerText()).replace(/\s+/g, " ") === VIEWED);
    release();
    await settled(page);
    assert.equal((await bars(page).first().innerText()).replace(/\s+/g, " "), VIEWED);
});

test("retention: a triangle of shares and numbers, by the first event and by what people came back with", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app);
    await tab(page, "Retention").click();
    const rows = page.getByRole("region", { name: "People who came back" }).getByRole("row");
    await until(async () => (await rows.count()) === 9);
    const cells = async () =>
        (await rows.evaluateAll(all => all.slice(1).map(row => [...row.children].slice(1).map(cell => cell.innerText.replace(/\s+/g, " ")).filter(Boolean).join(" | "))))
            .filter(each => !/^0\b/.test(each));
    assert.deepEqual(await cells(), ["3 | 100% 3 | 33% 1 | 33% 1 | 0% 0", "3 | 67% 2 | 0% 0 | 0% 0"]);
    const title = await rows.locator("td", { hasText: "33%" }).first().getAttribute("title");
    assert.match(title, /^1 of 3 who began \w{3}, \w{3} \d+ \(33.3%\): 1 day later$/);
    await choice(page, "Began with").selectOption("add");
    await choice(page, "Came back with").selectOption("view");
    await until(async () => (await cells()).join(" / ") === "3 | 0% 0 | 33% 1 | 33% 1 | 0% 0 / 1 | 0% 0 | 0% 0 | 0% 0");
    await opensAgain(page);
    await page.goto(`/?app=${app.id}&view=people&tab=retention&since=24h`);
    await page.getByText(/Nobody began|only\./).first().waitFor();
});

test("paths: what people did next, from name to name and back along the trail", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app);
    await tab(page, "Paths").click();
    await page.getByText("Choose an event, to see what people did after it.").waitFor();
    await page.getByRole("group", { name: "Begin with" }).getByRole("button", { name: "view" }).click();
    const rows = page.getByRole("table", { name: "What people did next" }).getByRole("row");
    const lines = async () => (await rows.allInnerTexts()).slice(1).map(each => each.replace(/\s+/g, " ").trim());
    const afterView = ["add 4 66.7% 30 s", "crash 1 16.7% 10 s", "nothing more in time 1 16.7%"];
    await until(async () => (await lines()).join() === afterView.join());
    await rows.getByRole("link", { name: "add" }).focus();
    await page.keyboard.press("Enter");
    await until(async () => (await lines()).join() === ["pay 2 50% 1 min", "nothing more in time 2 50%"].join());
    assert.equal((await page.getByRole("navigation", { name: "Trail" }).innerText()).replace(/\s+/g, " "), "view → add");
    await opensAgain(page);
    await choice(page, "Within").selectOption("1w");
    await until(async () => (await lines()).join() === ["pay 2 50% 1 min", "view 1 25% 1 d 23 h", "nothing more in time 1 25%"].join());
    await page.getByRole("navigation", { name: "Trail" }).getByRole("link", { name: "view" }).click();
    await until(async () => (await lines())[0] === afterView[0]);
    await page.goBack();
    await until(async () => (await lines())[0] === "pay 2 50% 1 min");
});

test("numbers: figures of an attribute and its quantiles over time", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app);
    await tab(page, "Numbers").click();
    await figure(page, "Count").getByText("2", { exact: true }).waitFor();
    assert.equal(await choice(page, "Attribute").inputValue(), "amount");
    const found = {};
    for (const name of ["Count", "Sum", "Mean", "Smallest", "Largest", "Median", "90 %", "99 %"]) {
        found[name] = await figure(page, name).innerText();
    }
    assert.deepEqual(found, { Count: "2", Sum: "30", Mean: "15", Smallest: "10", Largest: "20", Median: "10", "90 %": "20", "99 %": "20" });
    const plot = page.getByRole("slider", { name: "Quantiles over time" });
    await until(async () => (await plot.locator("path.chart-line").count()) === 3);
    await choice(page, "Interval").selectOption("DAY");
    await settled(page);
    await plot.focus();
    await page.keyboard.press("End");
    for (let at = 0; at < 3; at += 1) await page.keyboard.press("ArrowLeft");
    assert.match(await plot.getAttribute("aria-valuetext"), /Median 10 90 % 20 99 % 20$/);
    await page.getByRole("button", { name: "Table", exact: true }).click();
    const row = page.getByRole("region", { name: "Values of the chart" }).getByRole("row").filter({ hasText: "30" });
    await until(async () => /10\s+20\s+20\s+2\s+30\s+15$/.test(await row.last().innerText()));
    await opensAgain(page);
});

test("what does not fit into one request is told, and a funnel reads on", async () => {
    const padding = "x".repeat(9_000);
    const events = Array.from({ length: 60 }, (_, at) =>
        ["view", "add"].map((name, step) => ({
            name,
            id: `wide-${at}-${name}`,
            user_id: `user-${at}`,
            session_id: `user-${at}`,
            timestamp: new Date(noon(2) + at * 60_000 + step * 1_000).toISOString(),
            data: { padding },
        })),
    ).flat();
    const app = await scarce.tally.app("wide");
    await scarce.tally.call("POST", `/apps/${app.id}/events`, events);
    const page = await scarce.signIn("/");
    // So small a budget may not be enough for an overview, whose names are offered.
    page.expects(400);
    await page.goto(`/?app=${app.id}&view=people&since=7d&tab=funnel&steps=${encodeURIComponent("name%3Dview,name%3Dadd")}`);
    await page.getByText(/Of the events from .* only: there are more than one request reads\./).first().waitFor();
    const people = async () => Number((await bars(page).first().innerText()).split("\n")[2]);
    const first = await people();
    assert.ok(first > 0 && first < 60, `${first}`);
    await until(async () => {
        const button = page.getByRole("button", { name: "Continue" });
        if ((await button.count()) > 0) await button.click({ timeout: 2_000 }).catch(() => {});
        await settled(page);
        return (await people()) === 60;
    });
    await page.goto(`/?app=${app.id}&view=people&since=7d`);
    await page.getByText(/Of the events from .* only/).first().waitFor();
    await page.getByRole("link", { name: "Show the part before" }).first().waitFor();
});

test("retention of a part shows no day that was not read, and leads to ranges that one request reads", async () => {
    const padding = "x".repeat(9_000);
    // Somebody who begins and comes back on each of six days, among others who fill the days.
    const events = Array.from({ length: 6 }, (_, at) => [
        ...Array.from({ length: 25 }, (_, other) => `other-${at}-${other}`),
        "faithful",
    ].map((user, second) => ({
        name: "view", id: `wide-${at}-${user}`, user_id: user, data: { padding },
        timestamp: new Date(noon(6 - at) + second * 1_000).toISOString(),
    }))).flat();
    const app = await scarce.tally.app("wide-retention");
    await scarce.tally.call("POST", `/apps/${app.id}/events`, events);
    const page = await scarce.signIn("/");
    page.expects(400);
    await page.goto(`/?app=${app.id}&view=people&since=7d&tab=retention`);
    const rows = page.getByRole("region", { name: "People who came back" }).getByRole("row");
    const note = page.getByText(/Of the events from .* only: there are more than one request reads\./);
    await note.waitFor();
    const read = (await rows.count()) - 1;
    assert.ok(read > 0 && read < 8, `${read} of 8 days were read`);
    const days = await rows.evaluateAll(all => all.slice(1).map(row => row.querySelectorAll("td:not(.cohort-people)").length));
    assert.deepEqual(days, Array.from({ length: read }, (_, at) => read - at), "a triangle of the days that were read");
    await page.getByText("A cell in italics is of a day that is not over, or not read to its end.").waitFor();
    const url = page.url();
    await page.getByRole("link", { name: "Show the part after" }).click();
    await page.waitForURL(/until=/);
    assert.ok(Date.parse(new URL(page.url()).searchParams.get("since")) > noon(6));
    await page.goto(url);
    await page.getByRole("link", { name: "Show that part alone" }).click();
    await page.waitForURL(/until=/);
    await until(async () => (await rows.count()) === read + 1 && (await note.count()) === 0);
    // Or it goes on in the same range.
    await page.goto(url);
    await note.waitFor();
    for (let left = 20; (await note.count()) > 0 && left > 0; left--) {
        const [before] = await note.allInnerTexts();
        await page.getByRole("button", { name: "Continue" }).click();
        await until(async () => (await note.allInnerTexts())[0] !== before);
    }
    await until(async () => (await rows.count()) === 1 + 8);
    assert.equal(page.url(), url);
});

test("a user's time line has the events of all ids of the person, says which, and opens in a new tab", async () => {
    const of = (user, ago, name, more = {}) => ({
        name, id: `${user}-${ago}-${name}`, user_id: user, session_id: `${user}-s`,
        timestamp: new Date(noon(ago)).toISOString(), ...more,
    });
    const others = Array.from({ length: 10 }, (_, at) => `phone-${at}`);
    const app = await appWith(world.tally, [
        of("a-1", 3, "view"),
        of("a-2", 2, "add"),
        of("ann", 1, "pay"),
        of("ben", 1, "view"),
        ...["a-1", "a-2", ...others].map((anonymous_id, at) => of("ann", 1, `$identify`, { id: `identify-${at}`, data: { anonymous_id } })),
    ]);
    const page = await world.signIn("/");
    const names = async (on = page) =>
        (await on.getByRole("treegrid").getByRole("row").evaluateAll(all => all.map(row => row.innerText)))
            .flatMap(text => text.match(/\b(view|add|pay)\b/g) ?? []).join();
    // By whichever of the ids.
    for (const id of ["ann", "a-1"]) {
        await page.goto(`/?app=${app.id}&view=user&since=7d&user_id=${id}`);
        await page.getByRole("heading", { name: "User ann" }).waitFor();
        await until(async () => (await names()) === "view,add,pay");
    }
    const ids = page.locator(".timeline-head dl > div").filter({ has: page.getByText("Ids", { exact: true }) });
    assert.equal(await ids.getByRole("link").count(), 8);
    await ids.getByRole("button", { name: "and 5 more" }).click();
    assert.equal(await ids.getByRole("link").count(), 13);
    // Which id each event has is a column.
    await page.getByRole("treegrid").getByRole("row").filter({ hasText: "add" }).getByText("a-2", { exact: true }).waitFor();

    const tabOf = await page.context().newPage();
    await tabOf.goto(page.url());
    await until(async () => (await names(tabOf)) === "view,add,pay");
    await tabOf.getByRole("link", { name: "Show in events" }).click();
    await tabOf.waitForURL(/view=events/);
    await until(async () => (await names(tabOf)) === "pay,add,view");
    await ids.getByRole("link", { name: "a-2" }).click();
    await page.waitForURL(/view=events.*user_id=a-2/);
    await until(async () => (await names()) === "add");

    // Who has one id has none to tell. A key with any bound sees the events of the id alone.
    await page.goto(`/?app=${app.id}&view=user&since=7d&user_id=ben`);
    await until(async () => (await names()) === "view");
    assert.equal(await ids.count(), 0);
    const { key } = await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], hide: ["data"] });
    const visitor = await world.profile();
    await visitor.goto(`/?app=${app.id}&view=user&since=7d&user_id=a-1#key=${key}`);
    await until(async () => (await names(visitor)) === "view");
    assert.ok(visitor.requested.every(request => !request.url().includes("/people/")));
});

test("more ids than a filter takes are told, and what fails is tried again", async () => {
    const app = await appWith(world.tally, [{ name: "view", id: "many-ids", user_id: "ann", timestamp: new Date(noon(1)).toISOString() }]);
    const page = await world.signIn("/");
    page.expects(500);
    let fails = true;
    const anonymous_ids = Array.from({ length: 100 }, (_, at) => `phone-${at}`);
    await page.route("**/people/ann", route =>
        fails
            ? route.fulfill({ status: 500, contentType: "application/problem+json", body: '{"status":500,"detail":"Not now."}' })
            : route.fulfill({ json: { user_id: "ann", anonymous_ids, complete: false } }),
    );
    await page.goto(`/?app=${app.id}&view=user&since=7d&user_id=ann`);
    await page.getByText("Events of this user could not be read (500). Not now.").waitFor();
    fails = false;
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("treegrid").getByText("view").first().waitFor();
    await page.getByText("Events of the first 20 are shown. There are more ids than can be read.").waitFor();
});

test("a step of a funnel names the errors that those met who left, and leads to them", async () => {
    const app = await appWith(world.tally, shop());
    const page = await world.signIn("/");
    const met = [{ id: "01M8F747H9QWR58DKKRV66D03B", title: `${HOSTILE} ${"it broke ".repeat(40)}`, people: 1 }, { id: "other", title: "Late", people: 1 }];
    await page.route("**/funnels", async route => {
        const reply = await route.fetch();
        const body = await reply.json();
        body.steps[0].issues = { left: met, went_on: [{ ...met[1], people: 3 }] };
        body.steps[1].issues = { left: [], went_on: met };
        await route.fulfill({ response: reply, json: body });
    });
    const query = `view=people&since=7d&tab=funnel&steps=${encodeURIComponent("name%3Dview,name%3Dadd,name%3Dpay")}`;
    await page.goto(`/?app=${app.id}&${query}`);
    await until(async () => (await bars(page).count()) === 3);
    const lists = page.getByRole("list", { name: "Errors of those who left" });
    assert.equal(await lists.count(), 1, "a step without errors has no list");
    const rows = bars(page).first().getByRole("list", { name: "Errors of those who left" }).getByRole("listitem");
    assert.match(await rows.nth(0).innerText(), /^<img.*\n1 of 2 who left$/s);
    assert.match(await rows.nth(1).innerText(), /^Late\s+1 of 2 who left, 3 who went on$/);
    await page.setViewportSize({ width: 390, height: 844 });
    const { right } = await rows.nth(0).getByRole("link").evaluate(each => each.getBoundingClientRect());
    assert.ok(right <= 390, `a long title ends at ${right}`);
    page.expects(404);
    await rows.nth(1).getByRole("link").click();
    await page.waitForURL(/view=errors.*issue=other/);
});

test("a link that hides people shows figures, and says what it does not show", async () => {
    const app = await appWith(world.tally, shop());
    const key = async bounds => (await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], ...bounds })).key;
    const visitor = await world.profile();
    const go = (hash, query) => visitor.goto("about:blank").then(() => visitor.goto(`/?app=${app.id}&view=people&since=7d${query}#key=${hash}`));
    const counts = await key({ statistics_only: true });
    await go(counts, "");
    await figure(visitor, "Sessions").getByText("8", { exact: true }).waitFor();
    await visitor.getByText("This link shows no sessions one by one: it hides users and sessions.").waitFor();
    await go(counts, "&tab=users");
    await figure(visitor, "Different users").getByText("6", { exact: true }).waitFor();
    await go(counts, `&tab=funnel&steps=${encodeURIComponent("name%3Dview,name%3Dadd")}`);
    await until(async () => (await bars(visitor).count()) === 2);
    assert.equal(await bars(visitor).getByRole("link").count(), 0, "nobody is listed");
    await go(counts, "&tab=retention");
    await visitor.getByRole("region", { name: "People who came back" }).getByText("100%").first().waitFor();
    await go(counts, "&tab=paths&path=view");
    await visitor.getByRole("table", { name: "What people did next" }).getByText("add").waitFor();
    await go(counts, "&tab=numbers");
    await visitor.getByText("This link shows no numbers of events: it hides data.").waitFor();
    // A key with a filter counts what matches it; what the server refuses is told in a sentence.
    await go(await key({ filter: { "attr.country": "DE" } }), "&tab=users");
    await figure(visitor, "Different users").getByText("2", { exact: true }).waitFor();
    visitor.expects(403);
    const detail = "The key does not allow it.";
    await visitor.route("**/stats/uniques?*", route =>
        route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ status: 403, detail }) }),
    );
    await go(counts, "&tab=users");
    await visitor.getByText(`This link may not read it. ${detail}`).waitFor();
    assert.ok(visitor.requested.every(request => !request.url().includes("tly_")), "the key is in no URL that is sent");
});

test("people are shared by a link that shows what was shared", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app, "&tab=paths&path=view");
    await page.getByRole("table", { name: "What people did next" }).waitFor();
    await page.getByRole("button", { name: "Share" }).click();
    const dialog = page.getByRole("dialog");
    assert.ok(await dialog.getByLabel("sees statistics only, no single events").isChecked());
    await dialog.getByText("rolling").click();
    await dialog.getByRole("button", { name: "Create link" }).click();
    const visitor = await world.profile();
    await visitor.goto(await dialog.locator("pre").first().innerText());
    await visitor.getByRole("table", { name: "What people did next" }).getByText("66.7%").waitFor();
    // What a funnel divides by is data, and a condition may be of people.
    const funnel = (more, filter = "") => `&tab=funnel&steps=${encodeURIComponent(`${encodeURIComponent(`name=view${filter}`)},name%3Dadd`)}${more}`;
    for (const [query, disabled] of [
        [funnel(""), []],
        [funnel("&breakdown=attr.country"), ["sees no data, tags and stacks"]],
        [funnel("", "&user_id[ne]=u1"), ["sees no users, sessions and messages"]],
    ]) {
        await page.goto(`/?app=${app.id}&view=people&since=7d${query}`);
        await page.getByRole("button", { name: "Share" }).click();
        for (const label of ["sees no users, sessions and messages", "sees no data, tags and stacks"]) {
            assert.equal(await dialog.getByLabel(label).isDisabled(), disabled.includes(label), `${query}: ${label}`);
        }
    }
    // Sessions one by one need who they are of.
    await page.goto(`/?app=${app.id}&view=people&since=7d`);
    await page.getByRole("button", { name: "Share" }).click();
    assert.ok(await page.getByRole("dialog").getByLabel("sees no users, sessions and messages").isDisabled());
});

test("all is reached with the keyboard", async () => {
    const app = await appWith(world.tally, shop());
    const page = await open(app);
    await page.getByRole("list", { name: "Sessions" }).getByRole("listitem").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("j");
    const second = page.getByRole("list", { name: "Sessions" }).getByRole("listitem").nth(1);
    assert.ok(await second.evaluate(row => row.contains(document.activeElement)));
    await page.keyboard.press("Enter");
    await page.waitForURL(/view=session/);
    await page.goBack();
    await tab(page, "Sessions").focus();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForURL(/tab=users/);
    assert.ok(await tab(page, "Users").evaluate(each => each === document.activeElement), "the focus stays on the tab");
});

test("a hostile name stays text in every tab", async () => {
    const hostile = shop().map(each => ({
        ...each,
        name: each.name === "view" ? HOSTILE : each.name,
        user_id: `${HOSTILE} ${each.user_id}`,
        session_id: `${HOSTILE} ${each.session_id}`,
        data: { ...each.data, [HOSTILE]: 7, country: HOSTILE },
    }));
    const app = await appWith(world.tally, hostile);
    const page = await world.signIn("/");
    page.expects(400);
    const name = encodeURIComponent(encodeURIComponent(HOSTILE));
    const step = encodeURIComponent(["add", HOSTILE].reverse().map(each => encodeURIComponent(`name=${encodeURIComponent(each)}`)).join());
    for (const query of [
        "",
        "&tab=users&of=%3Cimg%3E",
        `&tab=funnel&steps=${step}&breakdown=attr.country&step=2&left=1`,
        `&tab=funnel&steps=${step}&breakdown=${name}&within=${name}&by=${name}&step=${name}`,
        `&tab=retention&first=${encodeURIComponent(HOSTILE)}&again=${encodeURIComponent(HOSTILE)}`,
        `&tab=paths&path=${name}`,
        `&tab=numbers&attr=${encodeURIComponent(HOSTILE)}`,
        `&tab=${name}&interval=${name}&chart=${name}&path=%25E0%25A4%25A&steps=%25E0`,
    ]) {
        await page.goto(`/?app=${app.id}&view=people&since=7d${query}`);
        await page.locator(".people-tab > *").first().waitFor();
        await settled(page);
        assert.equal(await page.evaluate(() => window.broken), undefined, query);
        assert.equal(await page.locator("img, main script").count(), 0, query);
        if (!query.includes("users") && !query.includes("numbers")) {
            assert.ok((await page.locator("main").innerText()).includes("<img"), `${query} shows the name`);
        }
    }
});
