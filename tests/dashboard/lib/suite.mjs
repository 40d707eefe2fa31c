// What each file of tests begins with: a Tally of its own, Chromium, and helpers of the page.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, afterEach, before } from "node:test";
import { fileURLToPath } from "node:url";

import { Tally } from "../../clients/lib/tally.mjs";
import { openProfile, startChromium } from "./chromium.mjs";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
/** The server under test. */
export const BINARY = process.env.TALLY_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug/tally");

/**
 * Prepares a file of tests. What it returns is filled before the first test. With `onDisk`, Tally keeps its data in a folder
 * until the end; `settings` are variables `TALLY_…` of it. `TALLY_WEB_DIR` serves the page of that folder.
 */
export function suite({ onDisk = false, settings = {} } = {}) {
    const folder = onDisk ? mkdtempSync(join(tmpdir(), "tally-")) : null;
    const world = { tally: null, browser: null, signIn, profile, pages: [] };
    before(async () => {
        const page = process.env.TALLY_WEB_DIR ? { TALLY_WEB_DIR: process.env.TALLY_WEB_DIR } : {};
        world.tally = await Tally.start(BINARY, folder, { ...page, ...settings });
        world.browser = await startChromium();
    });
    afterEach(async () => {
        const pages = world.pages.splice(0);
        const faults = pages.flatMap(page => page.faults);
        await Promise.all(pages.map(page => page.context().close()));
        assert.deepEqual(faults, [], "the page reported errors, or asked another origin");
    });
    after(async () => {
        await world.browser?.close();
        world.tally?.stop();
        if (folder) rmSync(folder, { recursive: true });
    });

    /** A page in a fresh profile, without a session. */
    async function profile(options) {
        const page = await openProfile(world.browser, world.tally.url, options);
        world.pages.push(page);
        return page;
    }

    /** A page at `path` in a fresh profile in which the admin has signed in. */
    async function signIn(path = "/", options = {}) {
        const page = await profile(options);
        const reply = await page.request.post("/auth", { data: world.tally.admin });
        assert.equal(reply.status(), 200);
        await page.goto(path);
        return page;
    }
    return world;
}

let apps = 0;

/** An app of its own for a test, with events that are stored and counted. */
export async function appWith(tally, events) {
    apps += 1;
    const app = await tally.app(`app-${process.pid}-${apps}`);
    await send(tally, app.id, events);
    return app;
}

/** Sends events, and waits until they are counted, those of errors also in their issues. */
export async function send(tally, app, events) {
    for (let at = 0; at < events.length; at += 1000) {
        await tally.call("POST", `/apps/${app}/events`, events.slice(at, at + 1000));
    }
    const stored = (await tally.counted(app)) + 0;
    await until(async () => (await tally.counted(app)) >= events.length || (await tally.counted(app)) > stored);
    await settled(tally, app);
    // Reports read the newest events beside the counters; a list of issues does not, and may come later.
    const errors = events.filter(event => ["ERROR", "FATAL"].includes(event.level));
    const distinct = new Set(errors.map((event, at) => event.id ?? at)).size;
    if (distinct > 0) await until(async () => (await occurred(tally, app)) >= Math.min(distinct, 100));
}

/** The events in the 100 issues of an app that occurred last. */
async function occurred(tally, app) {
    const { items } = await tally.call("GET", `/apps/${app}/issues?since=30d&limit=100`);
    return items.reduce((sum, issue) => sum + issue.count, 0);
}

/** Waits until the counters stand still. */
async function settled(tally, app) {
    let last = -1;
    await until(async () => {
        const now = await tally.counted(app);
        const same = now === last;
        last = now;
        return same;
    });
}

/** Asks until the answer is yes. */
export async function until(question, seconds = 60) {
    const end = Date.now() + seconds * 1000;
    while (!(await question())) {
        assert.ok(Date.now() < end, `not within ${seconds} s: ${question}`);
        await new Promise(resolve => setTimeout(resolve, 100));
    }
}
