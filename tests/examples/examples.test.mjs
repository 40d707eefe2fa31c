// The examples, each as its README says: started by its `run` beside a Tally that keeps its keys in a folder, called once, and ended.
// What it sent is what is stored, counted and an issue. See .ci/examples.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { BINARY, Tally } from "../clients/lib/tally.mjs";

const EXAMPLES = resolve(fileURLToPath(import.meta.url), "../../../examples");
const { TOOLS, CHROMIUM } = process.env;
/** The most milliseconds to install and build an example until it answers, and until its events have arrived. */
const [UNTIL_READY, UNTIL_ARRIVED] = [270_000, 20_000];
const VISITOR = { "x-user": "ann", "x-session": "s1" };

/** Runs `check` until it returns something, or throws what it threw last. */
async function eventually(check, longest) {
    const end = Date.now() + longest;
    for (;;) {
        try {
            return await check();
        } catch (error) {
            if (Date.now() > end) throw error;
        }
        await new Promise(resolve => setTimeout(resolve, 50));
    }
}

/** A started example; `said` is all that it printed, `ended` its status once it is there. */
function start(name, settings) {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("TALLY_"));
    const child = spawn(join(EXAMPLES, name, "run"), { env: { ...Object.fromEntries(own), PORT: "0", ...settings }, stdio: ["ignore", "pipe", "pipe"] });
    const example = { said: "", child };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", text => { example.said += text; });
    example.ended = new Promise((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => resolve(code ?? signal));
    });
    return example;
}

/** Starts a Tally and an example, lets somebody visit the example, ends it, and returns the Tally. */
async function visited(context, name, visit) {
    const folder = await mkdtemp(join(tmpdir(), `tally-example-${name}-`));
    context.after(() => rm(folder, { recursive: true }));
    const tally = await Tally.start(BINARY, folder);
    context.after(() => tally.stop());
    // As where `cargo run` was called: the example finds the key by itself.
    const example = start(name, { TALLY_URL: tally.url, TALLY_DATA: folder });
    context.after(() => example.child.kill("SIGKILL"));
    const ready = (async () => {
        const url = await eventually(() => {
            const [, url] = example.said.match(/(?:on |\()(http:\/\/127\.0\.0\.1:\d+)/) ?? assert.fail(`${name} is not ready: ${example.said}`);
            return url;
        }, UNTIL_READY);
        await visit(url, tally);
    })();
    await Promise.race([ready, example.ended.then(status => assert.fail(`${name} ended with ${status}: ${example.said}`))]);
    // What it has not sent yet, it sends before it ends.
    example.child.kill("SIGTERM");
    await example.ended;
    return tally;
}

/** Lists the goods, orders three cups of tea, and meets the bug. */
async function buy(url) {
    const call = async (method, path) => (await fetch(url + path, { method, headers: VISITOR })).status;
    assert.equal(await call("GET", "/"), 200);
    assert.equal(await call("POST", "/orders/tea?amount=3"), 201);
    assert.equal(await call("POST", "/orders/cake"), 500);
}

/** Waits until these events are stored and counted, and nothing else: `[name, user, session, count]` of each. Returns them by name. */
async function holds(tally, expected) {
    return eventually(async () => {
        const events = await tally.events("demo");
        const found = events.map(event => [event.name, event.user_id ?? null, event.session_id ?? null, event.count ?? 1]);
        assert.deepEqual(found.map(String).sort(), expected.map(String).sort());
        assert.equal(await tally.counted("demo"), expected.reduce((sum, [, , , count]) => sum + count, 0));
        assert.deepEqual(await tally.rejected("demo"), []);
        return Object.fromEntries(events.map(event => [event.name, event]));
    }, UNTIL_ARRIVED);
}

/** The error is the one issue, and its stack names the code of the example. */
async function isIssue(tally, error, place) {
    assert.equal(error.level, "ERROR");
    assert.match(JSON.stringify(error.stack), place);
    const issue = await eventually(async () => {
        const { items } = await tally.call("GET", "/apps/demo/issues");
        assert.equal(items.length, 1, JSON.stringify(items));
        return items[0];
    }, UNTIL_ARRIVED);
    assert.deepEqual([issue.name, issue.count, issue.state], [error.name, 1, "open"]);
}

describe("an example sends what its README says", { concurrency: true }, () => {
    test("express", async context => {
        const tally = await visited(context, "express", buy);
        const events = await holds(tally, [
            ["goods listed", "ann", "s1", 1],
            ["order placed", "ann", "s1", 1],
            ["items sold", null, null, 3],
            ["$exception", "ann", "s1", 1],
        ]);
        assert.deepEqual([events["order placed"].data.item, events["order placed"].data.total], ["tea", 10.5]);
        assert.match(events.$exception.message, /^TypeError: .*price/);
        await isIssue(tally, events.$exception, /server\.js/);
    });

    test("fastapi", async context => {
        const tally = await visited(context, "fastapi", buy);
        const ordered = "{amount} × {item} ordered";
        const events = await holds(tally, [
            ["{n} goods listed", "ann", null, 1],
            [ordered, "ann", null, 1],
            ["items sold", null, null, 3],
            ["KeyError", "ann", null, 1],
        ]);
        assert.deepEqual([events[ordered].message, events[ordered].data.total], ["3 × tea ordered", 10.5]);
        assert.equal(events.KeyError.tags.session, "s1");
        await isIssue(tally, events.KeyError, /shop\.py/);
    });

    test("axum", async context => {
        const tally = await visited(context, "axum", buy);
        const events = await holds(tally, [
            ["request", "ann", "s1", 1],
            ["request", "ann", "s1", 1],
            ["request", "ann", "s1", 1],
            ["order placed", "ann", "s1", 1],
            ["items sold", null, null, 3],
            ["request failed", "ann", "s1", 1],
        ]);
        assert.deepEqual(events["order placed"].data, { amount: 3, item: "tea", total: 10.5 });
        assert.deepEqual([events["request failed"].message, events["request failed"].fingerprint], ["no price of cake", "no price"]);
        await isIssue(tally, events["request failed"], /main\.rs/);
    });

    test("static-page", async context => {
        const { chromium } = await import(join(TOOLS, "node_modules/playwright-core/index.mjs"));
        // Root, as in containers, has no sandbox. By its own name Chromium is a bot.
        const person = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        const args = [`--user-agent=${person}`, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
        const browser = await chromium.launch({ executablePath: CHROMIUM, args });
        context.after(() => browser.close());
        const tally = await visited(context, "static-page", async (url, tally) => {
            const page = await browser.newPage();
            page.setDefaultTimeout(10_000);
            await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "webdriver", { get: () => false }));
            await page.goto(url);
            await page.click("#sign-in button");
            for (const button of ["#wish", "#buy", "#fail"]) await page.click(button);
            // How long the page was seen is sent when it closes, and only then.
            await eventually(async () => assert.equal((await tally.events("demo")).length, 5), UNTIL_ARRIVED);
            await page.close({ runBeforeUnload: true });
            await eventually(async () => assert.equal((await tally.events("demo")).length, 6), UNTIL_ARRIVED);
        });
        // Without a cookie, all are of one visitor of the day.
        const session = (await tally.events("demo"))[0].session_id;
        assert.ok(session);
        const events = await holds(tally, [
            ["pageview", null, session, 1],
            ["identify", "ann", session, 1],
            ["wished", "ann", session, 1],
            ["ordered", "ann", session, 1],
            ["error", "ann", session, 1],
            ["engagement", "ann", session, 1],
        ]);
        assert.deepEqual([events.pageview.data.path, events.pageview.data.browser], ["/", "Chrome"]);
        assert.deepEqual([events.ordered.data.item, events.wished.data.item], ["tea", "tea"]);
        await isIssue(tally, events.error, /buy/);
    });
});

describe("an example says what is missing", { concurrency: true }, () => {
    for (const name of ["express", "fastapi", "axum", "static-page"]) {
        test(`${name}: no Tally`, async () => {
            // A port that was free a moment ago.
            const server = createServer().listen(0, "127.0.0.1");
            await new Promise(resolve => server.once("listening", resolve));
            const TALLY_URL = `http://127.0.0.1:${server.address().port}`;
            await new Promise(resolve => server.close(resolve));
            const example = start(name, { TALLY_URL, TALLY_KEY: "tly_in_0123" });
            assert.equal(await example.ended, 1);
            const sentence = `Tally does not answer at ${TALLY_URL}: start it with \`cargo run\`, or set TALLY_URL to its address`;
            assert.equal(example.said, `${name}: ${sentence}\n`);
        });
    }

    test("no key", async () => {
        const example = start("express", { TALLY_DATA: "/nowhere" });
        assert.equal(await example.ended, 1);
        assert.match(example.said, /^express: there is no key: start Tally with `cargo run`/);
    });

    test("a key of another Tally", async context => {
        const tally = await Tally.start(BINARY);
        context.after(() => tally.stop());
        const example = start("express", { TALLY_URL: tally.url, TALLY_KEY: `tly_in_0123456789ab_${"0".repeat(40)}` });
        assert.equal(await example.ended, 1);
        assert.match(example.said, /does not take the key tly_in_0123…: set TALLY_KEY/);
    });

    test("something else than Tally", async context => {
        const server = createServer((_, reply) => reply.writeHead(200).end()).listen(0, "127.0.0.1");
        context.after(() => server.close());
        await new Promise(resolve => server.once("listening", resolve));
        const example = start("express", { TALLY_URL: `http://127.0.0.1:${server.address().port}`, TALLY_KEY: "tly_in_0123" });
        assert.equal(await example.ended, 1);
        assert.match(example.said, /is not Tally \(status 200\)/);
    });
});
