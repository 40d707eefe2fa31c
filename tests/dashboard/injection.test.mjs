// What events, apps, keys and views hold is text, everywhere.

import assert from "node:assert/strict";
import { test } from "node:test";

import { appWith, suite } from "./lib/suite.mjs";

const world = suite();
const HOSTILE = `"><img src=x onerror="window.broken=1"><script>window.broken=1</script>\u202e{{7*7}}`;

test("script in every field stays text in every view", async () => {
    const app = await appWith(
        world.tally,
        Array.from({ length: 12 }, (_, at) => ({
            name: `name ${HOSTILE}`,
            slug: `slug ${HOSTILE}`,
            category: `category ${HOSTILE}`,
            level: "ERROR",
            message: `message ${HOSTILE}`,
            user_id: `user ${HOSTILE}`,
            session_id: `session ${HOSTILE}`,
            data: { [`key ${HOSTILE}`]: `value ${HOSTILE}`, nested: { list: [HOSTILE] } },
            tags: { release: HOSTILE },
            stack: [{ function: HOSTILE, file: HOSTILE, line: 1, in_app: true }],
            timestamp: new Date(Date.now() - at * 60_000 - 1).toISOString(),
            id: `hostile-${at}`,
        })),
    );
    await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["read"], label: HOSTILE.slice(0, 60) });
    const page = await world.signIn("/");
    const hostile = encodeURIComponent(HOSTILE);
    for (const query of [
        "",
        `?app=${app.id}`,
        `?app=${app.id}&name=${encodeURIComponent(`name ${HOSTILE}`)}`,
        `?app=${app.id}&view=events`,
        `?app=${app.id}&view=errors`,
        `?app=${app.id}&view=errors&state=${hostile}&q=${hostile}&sort=last_seen`,
        `?app=${app.id}&view=errors&issue=${hostile}&by=${hostile}`,
        `?app=${app.id}&view=people`,
        `?app=${app.id}&view=web`,
        `?app=${app.id}&view=people&tab=paths&path=${encodeURIComponent(encodeURIComponent(`name ${HOSTILE}`))}`,
        `?app=${app.id}&view=session&session_id=${encodeURIComponent(`session ${HOSTILE}`)}`,
        `?app=${app.id}&view=user&user_id=${encodeURIComponent(`user ${HOSTILE}`)}`,
        `?app=${app.id}&view=settings&tab=keys`,
        `?app=${hostile}`,
        `?app=${app.id}&view=${hostile}&tab=${hostile}&attr.${hostile}=${hostile}`,
    ]) {
        page.expects(404);
        page.expects(400);
        await page.goto(`/${query}`);
        await page.waitForLoadState("networkidle");
        if (query.endsWith("view=events")) {
            await page.getByRole("treegrid").getByRole("row").nth(1).getByRole("gridcell").nth(1).click();
            await page.getByText("nested").first().waitFor();
        }
        assert.equal(await page.evaluate(() => window.broken), undefined, query);
        assert.equal(await page.locator("img[src=x], main script").count(), 0, query);
    }
});
