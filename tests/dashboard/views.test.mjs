// Every view: light and dark, wide and narrow, for people with and without a mouse. Screenshots are kept.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { shopEvents } from "./lib/events.mjs";
import { appWith, suite } from "./lib/suite.mjs";

const world = suite();
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = new URL("../../target/dashboard/screenshots/", import.meta.url).pathname;
const SIZES = process.env.TALLY_TESTS_SHORT ? [1440, 320] : [1440, 768, 320, 2560];

/** Two steps, as the page writes them. */
const FUNNEL = encodeURIComponent(["name=page_view", "name=signup"].map(encodeURIComponent).join(","));

const VIEWS = {
    home: () => "/",
    overview: app => `/?app=${app}&since=6h`,
    "overview by filter": app => `/?app=${app}&level=ERROR,FATAL&name[ne]=signup`,
    "no match": app => `/?app=${app}&name=nothing`,
    events: app => `/?app=${app}&view=events`,
    errors: app => `/?app=${app}&view=errors`,
    "errors resolved": app => `/?app=${app}&view=errors&state=resolved`,
    error: (app, issue) => `/?app=${app}&view=errors&issue=${issue}`,
    alerts: app => `/?app=${app}&view=alerts`,
    session: app => `/?app=${app}&view=session&session_id=user-3-0`,
    user: app => `/?app=${app}&view=user&user_id=user-3`,
    people: app => `/?app=${app}&view=people`,
    "people users": app => `/?app=${app}&view=people&tab=users`,
    "people funnel": app => `/?app=${app}&view=people&tab=funnel&steps=${FUNNEL}&breakdown=level&step=2&left=1`,
    "people retention": app => `/?app=${app}&view=people&tab=retention&since=7d`,
    "people paths": app => `/?app=${app}&view=people&tab=paths&path=page_view,signup`,
    "people numbers": app => `/?app=${app}&view=people&tab=numbers`,
    "web without views": app => `/?app=${app}&view=web`,
    ...Object.fromEntries(
        ["app", "keys", "links", "views", "rejected", "dead-letters", "audit", "usage"].map(tab => [
            `settings ${tab}`,
            app => `/?app=${app}&view=settings&tab=${tab}`,
        ]),
    ),
};

let app;

for (const scheme of ["light", "dark"]) {
    for (const width of SIZES) {
        test(`${scheme}, ${width} px: no view has a finding of axe or scrolls sideways`, async () => {
            app ??= await appWith(world.tally, shopEvents(300));
            const [issue] = (await world.tally.call("GET", `/apps/${app.id}/issues`)).items;
            mkdirSync(SCREENSHOTS, { recursive: true });
            const page = await world.signIn("/", { colorScheme: scheme, viewport: { width, height: 900 }, bypassCSP: true });
            for (const [name, path] of Object.entries(VIEWS)) {
                await page.goto(path(app.id, issue.id));
                await page.waitForLoadState("networkidle");
                await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
                await page.screenshot({ path: `${SCREENSHOTS}${name.replaceAll(" ", "-")}-${scheme}-${width}.png` });
                const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                assert.ok(wider <= 0, `${name} is ${wider} px wider than the window`);
                await page.evaluate(AXE);
                const { violations } = await page.evaluate(() => globalThis.axe.run({ rules: { "target-size": { enabled: true } } }));
                const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(each => each.html).join(" ")}`);
                assert.deepEqual(found, [], name);
            }
        });
    }
}

test("the first view is small: at most 60 KB, 6 requests, and no code of views that are not open", async () => {
    app ??= await appWith(world.tally, shopEvents(300));
    const page = await world.signIn(`/?app=${app.id}`);
    await page.getByRole("region", { name: "Names" }).getByText("page_view").waitFor();
    await page.waitForLoadState("networkidle");
    const requests = page.requested.length;
    const sizes = await Promise.all(page.requested.map(async request => (await request.sizes()).responseBodySize));
    const bytes = sizes.reduce((sum, each) => sum + each, 0);
    console.log(`first view: ${requests} requests, ${bytes} bytes`);
    assert.ok(requests <= 6, page.requested.map(request => request.url()).join("\n"));
    assert.ok(bytes <= 60_000, `${bytes} bytes`);
    assert.ok(page.requested.every(request => !/\/(alerts|errors|people|settings|web)\.(js|css)$/.test(request.url())));
});

test("everything can be reached with the keyboard, and what has the focus shows it", async () => {
    app ??= await appWith(world.tally, shopEvents(300));
    const page = await world.signIn(`/?app=${app.id}`);
    await page.getByRole("region", { name: "Names" }).getByText("page_view").waitFor();
    const reached = new Set();
    for (let step = 0; step < 60; step += 1) {
        await page.keyboard.press("Tab");
        const focus = await page.evaluate(() => {
            const element = document.activeElement;
            // After the last one the focus leaves the page.
            if (element === document.body) return { name: "", shown: true };
            const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
            const shown = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
            return { name: element.getAttribute("aria-label") ?? element.textContent.trim().slice(0, 30), shown };
        });
        assert.ok(focus.shown, `${focus.name} does not show that it has the focus`);
        reached.add(focus.name);
    }
    for (const name of ["Events", "Errors", "Settings", "Share", "page_view"]) {
        assert.ok(reached.has(name), `${name} in ${[...reached].join(" | ")}`);
    }
});
