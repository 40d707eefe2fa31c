// Visits to a page with the scripts of Plausible and Umami, in Chromium, on another origin than Tally's: what they send is
// stored and counted once. What they do not send themselves is written down in docs/clients.md, and here.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";

import { CHROMIUM } from "../lib/browser.mjs";
import { FAULTS } from "../lib/faults.mjs";
import { startProxy } from "../lib/proxy.mjs";
import { BINARY, Tally } from "../lib/tally.mjs";
import { TRACKERS } from "./trackers.mjs";

const PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
/** How long nothing more may arrive, in milliseconds, and how long it may take until all has. */
const [STILL, LONGEST] = [1_000, 20_000];

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

let tally;
let browser;
let apps = 0;
const sites = [];

before(async () => {
    tally = await Tally.start(BINARY);
    // Root, as in containers, has no sandbox.
    const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    // By its own name it is a bot. That of a context is not the one of what a page sends at its end.
    args.push(`--user-agent=${PERSON}`);
    browser = await chromium.launch({ executablePath: CHROMIUM, args, ignoreDefaultArgs: ["--disable-back-forward-cache"] });
});

after(async () => {
    await browser?.close();
    for (const { proxy, server } of sites) {
        proxy.stop();
        server.close();
        server.closeAllConnections();
    }
    tally?.stop();
});

/** A site with a tracker whose every path is a page, an app, a proxy that injects a fault, and a visitor. */
async function scene(tracker, fault = FAULTS.none) {
    apps += 1;
    const app = await tally.app(`site ${apps}`);
    const proxy = await startProxy(tally.url, fault, (method, path) => method === "POST" && path.endsWith(tracker.path), true);
    const server = http.createServer((request, reply) => {
        const script = request.url === "/script.js";
        reply.writeHead(200, { "content-type": script ? "text/javascript" : "text/html; charset=utf-8" });
        const head = `<!doctype html><title>Page</title><link rel=icon href=data:,>${tracker.tag(proxy.url, app.key)}`;
        reply.end(script ? tracker.script : `${head}<body>${request.url}`);
    });
    await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
    sites.push({ proxy, server });
    const context = await browser.newContext();
    const self = { app, proxy, context };
    self.page = await context.newPage();
    self.page.setDefaultTimeout(10_000);
    // The API is on 127.0.0.1: another site.
    self.open = path => self.page.goto(`http://localhost:${server.address().port}${path}`);
    /** Calls the tracker, and waits until its request has met its fate. */
    self.call = async name => {
        const { requests } = proxy;
        await self.page.evaluate(name => void call(name), name);
        while (proxy.requests === requests || proxy.open > 0) await pause(20);
    };
    /** Waits until there are so many events with the name, and returns their paths, the oldest first. */
    self.paths = async (name, count) => {
        const end = Date.now() + LONGEST;
        for (;;) {
            const found = (await tally.events(app.id)).filter(event => event.name === name).reverse();
            if (found.length >= count || Date.now() > end) return found.map(({ data }) => new URL(data.url).pathname + new URL(data.url).hash);
            await pause(50);
        }
    };
    /** Waits until nothing more happens; what is stored, once it is as much as Tally answered for, and as much as is counted. */
    self.settled = async () => {
        let [seen, since] = ["", Date.now()];
        while (Date.now() - since < STILL) {
            const now = `${proxy.log.length} ${proxy.open} ${await tally.counted(app.id)}`;
            if (now !== seen) [seen, since] = [now, Date.now()];
            await pause(50);
        }
        const events = await tally.events(app.id);
        assert.equal(await tally.counted(app.id), events.length, "counted as often as stored");
        const taken = proxy.log.filter(line => line.startsWith("POST") && !/unseen|by the proxy/.test(line)).length;
        const stored = fault.stored ? taken + proxy.hit : taken;
        assert.equal(events.length, stored, `${proxy.log.join("\n")}\n${JSON.stringify(events)}`);
        assert.deepEqual(await tally.rejected(app.id), []);
        return events.map(event => event.name).sort();
    };
    return self;
}
for (const [name, tracker] of Object.entries(TRACKERS)) {
    describe(name, { concurrency: 4 }, () => {
        test("navigation within the page", async () => {
            const self = await scene(tracker);
            await self.open("/first");
            await self.paths("pageview", 1);
            for (const step of [
                () => history.pushState({}, "", "/second"),
                () => history.pushState({}, "", "/second#part"),
                () => history.replaceState({ same: true }, "", "/second"),
                () => history.back(),
                () => history.back(),
            ]) {
                await self.page.evaluate(step);
                await self.settled();
            }
            assert.deepEqual(await self.paths("pageview", 1), tracker.navigation);
            if (tracker.engagement) assert.deepEqual(await self.paths("engagement", 1), ["/first", "/second"]);
        });

        test("an event right before the page closes", async () => {
            const self = await scene(tracker);
            await self.open("/");
            await self.paths("pageview", 1);
            await self.page.evaluate(() => void call("last"));
            await self.page.close({ runBeforeUnload: true });
            const names = await self.settled();
            const expected = [...(tracker.engagement ? ["engagement"] : []), "last", "pageview"];
            // A request that does not outlive the page may be cut off with it.
            if (tracker.keepalive || names.includes("last")) assert.deepEqual(names, expected);
        });

        test("what happens offline is lost, and nothing that comes after it", async () => {
            const self = await scene(tracker);
            await self.open("/");
            await self.paths("pageview", 1);
            await self.context.setOffline(true);
            await self.page.evaluate(() => {
                call("offline");
                call("offline");
            });
            await self.settled();
            await self.context.setOffline(false);
            await self.page.evaluate(() => void call("back"));
            assert.deepEqual(await self.settled(), ["back", "pageview"]);
        });

        test("a page that comes back from the browser's cache", async () => {
            const self = await scene(tracker);
            await self.open("/a");
            await self.paths("pageview", 1);
            await self.page.evaluate(() => {
                window.kept = true;
            });
            await self.open("/b");
            await self.paths("pageview", 2);
            await self.page.evaluate(() => history.back());
            await self.settled();
            assert.equal(await self.page.evaluate(() => window.kept), true, "it was kept");
            assert.deepEqual(await self.paths("pageview", 2), tracker.cached);
            if (tracker.engagement) assert.deepEqual(await self.paths("engagement", 1), ["/a", "/b"]);
        });

        for (const [fault, stored] of [
            ["503, first 2", 2],
            ["429, first 1", 3],
            ["503 although stored", 4],
        ]) {
            test(`what is refused is lost, and nothing is sent again: ${fault}`, async () => {
                // After the page view.
                const self = await scene(tracker, { ...FAULTS[fault], hits: n => FAULTS[fault].hits(n - 1) && n > 1 });
                await self.open("/");
                await self.paths("pageview", 1);
                for (let n = 0; n < 4; n += 1) await self.call("clicked");
                assert.deepEqual(await self.settled(), [...Array(stored).fill("clicked"), "pageview"]);
                assert.equal(self.proxy.requests, 5);
            });
        }

        // The browser repeats what got no answer on a connection that it kept. Without an id, that is an event of its own.
        for (const [drop, stored] of [
            ["before", 4],
            ["after", 5],
        ]) {
            test(`four calls, of which one lost its connection ${drop} it was stored, are ${stored} events`, async () => {
                const self = await scene(tracker, { hits: n => n === 3, drop });
                await self.open("/");
                await self.paths("pageview", 1);
                for (let n = 0; n < 4; n += 1) await self.call("clicked");
                assert.deepEqual(await self.settled(), [...Array(stored).fill("clicked"), "pageview"]);
                assert.equal(self.proxy.requests, 6);
            });
        }
    });
}
