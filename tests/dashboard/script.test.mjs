// The script for web pages, in Chromium, on pages of another origin than Tally's, through a proxy that injects faults.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { FAULTS } from "../clients/lib/faults.mjs";
import { startProxy } from "../clients/lib/proxy.mjs";
import { Tally } from "../clients/lib/tally.mjs";
import { startChromium } from "./lib/chromium.mjs";
import { BINARY, until } from "./lib/suite.mjs";

const SETTINGS = { TALLY_SCRIPT_PATH: "/js/garden.js", TALLY_COLLECT_PATH: "/c/flowers" };
const PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

let tally;
let renamed;
let browser;
let site;
let apps = 0;
const opened = [];

before(async () => {
    [tally, renamed] = await Promise.all([Tally.start(BINARY), Tally.start(BINARY, null, SETTINGS)]);
    browser = await startChromium();
    // Every path is a page, whose head and body a test chooses.
    const server = http.createServer((request, reply) => {
        reply.writeHead(200, { "content-type": "text/html; charset=utf-8" });
        const path = new URL(request.url, "http://page").pathname;
        reply.end(`<!doctype html><title>Page ${path}</title><link rel=icon href=data:,>${site.head}<body>${site.body}`);
    });
    await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
    site = { server, origin: `http://localhost:${server.address().port}`, head: "", body: "" };
});

after(async () => {
    await browser?.close();
    for (const proxy of opened) proxy.stop();
    site?.server.close();
    site?.server.closeAllConnections();
    tally?.stop();
    renamed?.stop();
});

/** An app, a proxy in front of Tally, and a visitor. */
async function scene({ fault = FAULTS.none, server = tally, userAgent = PERSON, automated = false, chromium = browser } = {}) {
    apps += 1;
    const app = await server.app(`site-${apps}`);
    const proxy = await startProxy(server.url, fault, (method, path) => method === "POST" && /^\/(collect|c\/)/.test(path), false);
    opened.push(proxy);
    const context = await chromium.newContext({ userAgent });
    context.setDefaultTimeout(10_000);
    if (!automated) {
        await context.addInitScript(() => Object.defineProperty(Navigator.prototype, "webdriver", { get: () => false }));
    }
    const self = { app, proxy, context, server };
    /** Opens a page with the script; `tag` has its attributes. */
    self.open = async (path = "/", { tag = "", src = "/tally.js", body = "", head = "", page } = {}) => {
        site.head = `${head}<script defer src="${proxy.url}${src}" data-key="${app.key}" ${tag}></script>`;
        site.body = body;
        const opening = page ?? (await context.newPage());
        await opening.goto(site.origin + path);
        return opening;
    };
    /** The events with a name, the oldest first, once there are so many; all names without one. */
    self.events = async (name, count = 1) => {
        let found = [];
        await until(async () => {
            found = (await server.events(app.id)).filter(event => !name || event.name === name).reverse();
            return found.length >= count;
        }, 20);
        assert.equal(found.length, count, JSON.stringify(found.map(event => [event.name, event.data])));
        return found;
    };
    /** Waits until the script has nothing left to send. */
    self.idle = page =>
        page.waitForFunction(key => (localStorage[key] ?? "[]") === "[]", app.key);
    return self;
}

/** Waits until the counters of an app say so many, and no more. */
async function counts(self, expected) {
    await until(async () => (await self.server.counted(self.app.id)) >= expected, 20);
    assert.equal(await self.server.counted(self.app.id), expected);
}

test("a visit is a page view, with no cookie and nothing left in storage", async () => {
    const self = await scene();
    const page = await self.open("/cart?step=2#top");
    const [view] = await self.events("pageview");
    assert.deepEqual(view.data, {
        url: `${site.origin}/cart?step=2`,
        path: "/cart",
        title: "Page /cart",
        referrer: "",
        browser: "Chrome",
        device: "desktop",
        language: "en-US",
        os: "Linux",
    });
    await self.idle(page);
    assert.deepEqual(await self.context.cookies(), []);
    assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [self.app.key]);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("navigation within the page is a view for each address, with the time on the one before", async () => {
    const self = await scene();
    const page = await self.open("/first");
    await self.events("pageview", 1);
    await page.waitForFunction(() => performance.now() > 1500);
    await page.evaluate(() => {
        history.pushState({}, "", "/second");
        document.title = "Second";
    });
    await self.events("pageview", 2);
    await page.evaluate(() => history.pushState({}, "", "/second#part"));
    await page.evaluate(() => history.replaceState({ same: true }, "", "/second"));
    await page.goBack();
    await page.goBack();
    const views = await self.events("pageview", 3);
    assert.deepEqual(views.map(({ data }) => [data.path, data.title]), [
        ["/first", "Page /first"],
        ["/second", "Second"],
        ["/first", "Second"],
    ]);
    assert.equal(views[1].data.referrer, `${site.origin}/first`);
    const [first, second] = await self.events("engagement", 2);
    assert.deepEqual([first.data.path, second.data.path], ["/first", "/second"]);
    assert.ok(first.data.duration_ms >= 1000 && first.data.duration_ms <= 10_000, JSON.stringify(first.data));
});

test("with the option, routes behind a hash are pages", async () => {
    const self = await scene();
    const page = await self.open("/#/list", { tag: 'data-track="hash"' });
    await self.events("pageview", 1);
    await page.evaluate(() => {
        location.hash = "#/item/7";
    });
    const views = await self.events("pageview", 2);
    assert.deepEqual(views.map(({ data }) => data.path), ["/#/list", "/#/item/7"]);
    // The name of Plausible's file says the same.
    const other = await scene();
    const second = await other.open("/#/a", { src: "/js/script.hash.js" });
    await second.evaluate(() => {
        location.hash = "#/b";
    });
    await other.events("pageview", 2);
});

test("time on page is one event, however often the page hides", async () => {
    const self = await scene();
    const page = await self.open("/");
    await self.events("pageview", 1);
    const hide = hidden =>
        page.evaluate(hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }, hidden);
    await hide(true);
    const [early] = await self.events("engagement", 1);
    await hide(false);
    const from = await page.evaluate(() => performance.now());
    await page.waitForFunction(from => performance.now() > from + 2200, from);
    await hide(true);
    await until(async () => (await self.events("engagement", 1))[0].data.duration_ms > early.data.duration_ms);
    await counts(self, 2);
});

test("a page that comes back from the browser's cache is viewed again", async () => {
    const chromium = await startChromium({ ignoreDefaultArgs: ["--disable-back-forward-cache"] });
    const self = await scene({ chromium });
    const page = await self.open("/a");
    await self.events("pageview", 1);
    await page.evaluate(() => {
        window.kept = true;
    });
    await self.open("/b", { page });
    await self.events("pageview", 2);
    await page.evaluate(() => history.back());
    const views = await self.events("pageview", 3);
    assert.equal(await page.evaluate(() => window.kept), true, "it was kept");
    assert.deepEqual(views.map(({ data }) => data.path), ["/a", "/b", "/a"]);
    assert.deepEqual((await self.events("engagement", 2)).map(({ data }) => data.path), ["/a", "/b"]);
    await chromium.close();
});

test("events of the page's own, also before the script is there", async () => {
    const self = await scene();
    const stub = "<script>window.tally=window.tally||function(){(tally.q=tally.q||[]).push(arguments)};tally('early',{n:1})</script>";
    const page = await self.open("/", { head: stub });
    await self.events("pageview", 1);
    await page.evaluate(() => tally("Signup", { plan: "pro", seats: 3 }));
    const [early] = await self.events("early");
    assert.equal(early.data.n, 1);
    const [signup] = await self.events("Signup");
    assert.deepEqual([signup.data.plan, signup.data.seats, signup.data.path], ["pro", 3, "/"]);
});

test("links, downloads, forms and marked elements by attribute, and only then", async () => {
    const body = `<a id=out href="http://127.0.0.1:9/x">out</a> <a id=in href="/next">in</a> <a id=pdf href="/files/list.PDF">pdf</a>
        <a id=page href="/about.html">about</a> <form id=f action="/send?x=1"><button id=send>send</button></form>
        <button id=mark data-tally-event="Buy" data-tally-event-plan="pro" class=b>buy <b id=inner>now</b></button>
        <button id=umami data-umami-event="Ask" data-umami-event-kind="mail">ask</button>
        <script>addEventListener("click", e => e.target.closest("a") && e.preventDefault());
        addEventListener("submit", e => e.preventDefault())</script>`;
    const press = async page => {
        for (const id of ["out", "in", "pdf", "page", "send", "inner", "umami"]) await page.click(`#${id}`);
    };
    const self = await scene();
    const page = await self.open("/", { body, tag: 'data-track="outbound download submit"' });
    await press(page);
    const seen = async name => (await self.events(name))[0].data;
    assert.equal((await seen("outbound")).href, "http://127.0.0.1:9/x");
    assert.equal((await seen("download")).href, `${site.origin}/files/list.PDF`);
    assert.match((await seen("submit")).href, /^http.*\/send\?x=1$/);
    const { url, path, ...buy } = await seen("Buy");
    assert.deepEqual([buy, url, path], [{ plan: "pro" }, `${site.origin}/`, "/"]);
    assert.equal((await seen("Ask")).kind, "mail");
    await self.idle(page);
    await self.events(undefined, 6);

    const silent = await scene();
    const other = await silent.open("/", { body });
    await press(other);
    await silent.idle(other);
    assert.deepEqual((await silent.events(undefined, 3)).map(event => event.name).sort(), ["Ask", "Buy", "pageview"]);

    // Plausible says it in the name of the file.
    const plausible = await scene();
    const third = await plausible.open("/", { body, src: "/js/script.outbound-links.file-downloads.js" });
    await press(third);
    await plausible.events("outbound");
    await plausible.events("download");
});

test("errors with the option, nine of a page at most", async () => {
    const self = await scene();
    const page = await self.open("/", { tag: 'data-track="error"' });
    await page.evaluate(() => {
        setTimeout(() => {
            throw new TypeError("no cart");
        });
        Promise.reject(new RangeError("too many"));
    });
    const errors = await self.events("error", 2);
    assert.deepEqual(errors.map(event => event.message).sort(), ["RangeError: too many", "TypeError: no cart"]);
    assert.ok(errors.every(event => event.level === "ERROR" && /Error.*\n.*at /s.test(event.stack)));
    await page.evaluate(() => {
        for (let i = 0; i < 30; i += 1) Promise.reject(i);
    });
    await until(async () => (await self.server.events(self.app.id)).filter(event => event.name === "error").length >= 9);
    await self.idle(page);
    assert.equal((await self.server.events(self.app.id)).filter(event => event.name === "error").length, 9);
    const silent = await scene();
    const other = await silent.open("/");
    await other.evaluate(() => {
        Promise.reject(new Error("unseen"));
    });
    await other.evaluate(() => tally("after"));
    await silent.events("after");
    await silent.events(undefined, 2);
});

test("who does not want to be counted is not, nor is a program", async () => {
    const nothing = async (self, path, options) => {
        const page = await self.open(path, options);
        await page.evaluate(() => tally("anything", { n: 1 }));
        await page.evaluate(() => new Promise(resolve => requestIdleCallback(resolve)));
        await self.idle(page);
        assert.equal(self.proxy.requests, 0, JSON.stringify(options));
        return page;
    };
    const track = async init => {
        const self = await scene();
        await self.context.addInitScript(init);
        return self;
    };
    await nothing(await track(() => Object.defineProperty(Navigator.prototype, "doNotTrack", { get: () => "1" })), "/");
    await nothing(await track(() => localStorage.setItem("tally_ignore", "1")), "/");
    await nothing(await scene({ automated: true }), "/");
    await nothing(await scene(), "/", { tag: 'data-domains="shop.example, www.shop.example"' });
    await nothing(await scene(), "/admin/users", { tag: 'data-exclude="/login, /admin/*"' });
    const counted = await scene();
    await counted.open("/administration", { tag: 'data-exclude="/login, /admin/*" data-domains="*.example, localhost"' });
    await counted.events("pageview");
    // What a crawler sends reaches Tally, which keeps nothing of it.
    const crawler = await scene({ userAgent: `${PERSON} Googlebot/2.1` });
    const page = await crawler.open("/");
    await crawler.idle(page);
    await until(() => crawler.proxy.requests > 0);
    assert.deepEqual(await crawler.server.events(crawler.app.id), []);
});

test("a page that is left out has neither views nor time", async () => {
    const self = await scene();
    const page = await self.open("/shop", { tag: 'data-exclude="/admin*"' });
    await self.events("pageview", 1);
    await page.evaluate(() => history.pushState({}, "", "/admin"));
    await page.evaluate(() => new Promise(resolve => setTimeout(resolve)));
    await page.evaluate(() => history.pushState({}, "", "/shop/2"));
    await self.events("pageview", 2);
    assert.ok((await self.server.events(self.app.id)).every(event => !event.data.path.startsWith("/admin")));
});

test("what happens offline is sent when the network is back", async () => {
    const self = await scene();
    const page = await self.open("/");
    await self.events("pageview", 1);
    await self.context.setOffline(true);
    for (let n = 0; n < 120; n += 1) await page.evaluate(n => tally("click", { n }), n);
    await self.context.setOffline(false);
    const clicks = await self.events("click", 99);
    assert.deepEqual([clicks.at(0).data.n, clicks.at(-1).data.n], [21, 119], "the newest are kept");
    await self.idle(page);
    await counts(self, 100);
});

test("an event right before the page closes arrives, and the time on page with it", async () => {
    const self = await scene();
    const page = await self.open("/");
    await self.events("pageview", 1);
    await page.evaluate(() => void tally("last"));
    await page.close({ runBeforeUnload: true });
    await self.events("last", 1);
    await self.events("engagement", 1);
    // The next visit sends again what got no answer; it is the same.
    const again = await self.open("/");
    await self.events("pageview", 2);
    await self.idle(again);
    await counts(self, 4);
});

test("leaving for another page tells the time on the one before", async () => {
    const self = await scene();
    const page = await self.open("/a");
    await self.events("pageview", 1);
    await self.open("/b", { page });
    const views = await self.events("pageview", 2);
    assert.equal(views[1].data.path, "/b");
    const [{ data }] = await self.events("engagement", 1);
    assert.equal(data.path, "/a");
});

for (const fault of ["dropped before", "dropped after", "503, first 2", "503 although stored", "429, first 1", "every one twice"]) {
    test(`events are stored and counted once: ${fault}`, async () => {
        const self = await scene({ fault: FAULTS[fault] });
        const page = await self.open("/");
        for (let n = 0; n < 5; n += 1) await page.evaluate(n => tally("click", { n }), n);
        await self.idle(page);
        assert.ok(self.proxy.hit > 0);
        const clicks = await self.events("click", 5);
        assert.deepEqual(clicks.map(({ data }) => data.n), [0, 1, 2, 3, 4]);
        await counts(self, 6);
    });
}

test("what a visit could not send, the next one does", async () => {
    const fault = { down: true, hits: () => fault.down, drop: "before" };
    const self = await scene({ fault });
    const page = await self.open("/one");
    await page.evaluate(() => tally("bought", { cents: 1999 }));
    await until(() => self.proxy.hit > 0);
    await page.close({ runBeforeUnload: true });
    assert.deepEqual(await self.server.events(self.app.id), []);
    fault.down = false;
    const again = await self.open("/two");
    const [bought] = await self.events("bought");
    assert.deepEqual([bought.data.cents, bought.data.path], [1999, "/one"]);
    await self.idle(again);
    assert.deepEqual((await self.events("pageview", 2)).map(({ data }) => data.path), ["/one", "/two"]);
});

test("pages go on with Plausible's calls", async () => {
    const self = await scene();
    const stub = "<script>window.plausible=window.plausible||function(){(plausible.q=plausible.q||[]).push(arguments)};plausible('Early')</script>";
    const page = await self.open("/", { src: "/js/script.manual.js", head: stub });
    await self.events("Early");
    const called = await page.evaluate(
        () =>
            new Promise(resolve => {
                plausible("pageview", { u: "https://shop.example/virtual" });
                plausible("Purchase", {
                    props: { plan: "pro" },
                    revenue: { currency: "EUR", amount: "19.99" },
                    callback: () => resolve(true),
                });
            }),
    );
    assert.equal(called, true);
    const [view] = await self.events("pageview");
    assert.deepEqual([view.data.url, view.data.path], ["https://shop.example/virtual", "/virtual"]);
    const [{ data }] = await self.events("Purchase");
    assert.deepEqual([data.plan, data.revenue, data.path], ["pro", { currency: "EUR", amount: "19.99" }, "/"]);
});

test("a tag of Plausible's or Umami's may hold the key where it has its own", async () => {
    for (const [src, attribute] of [
        ["/js/plausible.js", key => `data-domain="${key}"`],
        ["/js/script.js", key => `data-domain="shop.example" data-api="https://tally.example/k/${key}/api/event"`],
        ["/script.js", key => `data-website-id="${key}"`],
    ]) {
        const self = await scene();
        site.head = `<script defer src="${self.proxy.url}${src}" ${attribute(self.app.key)}></script>`;
        await (await self.context.newPage()).goto(`${site.origin}/`);
        await self.events("pageview");
    }
    const self = await scene();
    site.head = `<script async src="${self.proxy.url}/js/pa-${self.app.key}.js"></script><script>window.plausible=window.plausible||
        function(){(plausible.q=plausible.q||[]).push(arguments)},plausible.init=plausible.init||function(i){plausible.o=i||{}};
        plausible.init()</script>`;
    await (await self.context.newPage()).goto(`${site.origin}/`);
    await self.events("pageview");
});

test("pages go on with Umami's calls", async () => {
    const self = await scene();
    const page = await self.open("/", { src: "/script.js", tag: 'data-track="manual"' });
    await page.waitForFunction(() => window.umami);
    await page.evaluate(() => {
        umami.track();
        umami.track("Signup", { plan: "pro" });
        umami.track({ website: "w", url: "/step/2", title: "Step", name: "Step", data: { n: 2 } });
        umami.track(props => ({ ...props, name: "Made" }));
        umami.identify("ann", { plan: "pro" });
        umami.track("Known");
    });
    await self.events("pageview");
    assert.equal((await self.events("Signup"))[0].data.plan, "pro");
    const [step] = await self.events("Step");
    assert.deepEqual([step.data.n, step.data.url, step.data.path, step.user_id], [2, "/step/2", "/step/2", undefined]);
    assert.equal((await self.events("Made"))[0].data.path, "/");
    const [identify] = await self.events("identify");
    assert.deepEqual([identify.user_id, identify.data.plan], ["ann", "pro"]);
    assert.equal((await self.events("Known"))[0].user_id, "ann");
});

test("renamed, and below a path of another server, the script finds where to send to", async () => {
    const self = await scene({ server: renamed });
    const paths = [];
    // A server of the site, which hands over what is below /stats.
    const front = http.createServer((request, reply) => {
        paths.push(`${request.method} ${request.url.split("?")[0]}`);
        const path = request.url.replace(/^\/stats/, "");
        const { hostname, port } = new URL(self.proxy.url);
        const sent = http.request({ hostname, port, method: request.method, path, headers: request.headers }, answer => {
            reply.writeHead(answer.statusCode, answer.headers);
            answer.pipe(reply);
        });
        request.pipe(sent);
    });
    await new Promise(resolve => front.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${front.address().port}/stats`;
    for (const [n, src] of ["/js/garden.js", "/tally.js"].entries()) {
        site.head = `<script defer src="${url}${src}" data-key="${self.app.key}"></script>`;
        await (await self.context.newPage()).goto(`${site.origin}/`);
        await self.events("pageview", n + 1);
    }
    assert.deepEqual([...new Set(paths)], ["GET /stats/js/garden.js", "POST /stats/c/flowers", "GET /stats/tally.js"]);
    front.close();
    front.closeAllConnections();
    // An attribute names another address.
    const other = await scene({ server: renamed });
    await other.open("/", { tag: `data-collect="${other.proxy.url}/collect"` });
    await other.events("pageview");
});

test("where storage is forbidden, the script counts all the same", async () => {
    const self = await scene();
    await self.context.addInitScript(() =>
        Object.defineProperty(window, "localStorage", {
            get: () => {
                throw new DOMException("forbidden", "SecurityError");
            },
        }),
    );
    const page = await self.open("/");
    await page.evaluate(() => tally("click"));
    await self.events("pageview");
    await self.events("click");
});

test("a page that is prepared in advance is viewed when it is shown", async () => {
    const self = await scene();
    await self.context.addInitScript(() => {
        let waiting = true;
        Object.defineProperty(document, "prerendering", { get: () => waiting });
        window.show = () => {
            waiting = false;
            document.dispatchEvent(new Event("prerenderingchange"));
        };
    });
    const page = await self.open("/");
    await page.waitForLoadState("load");
    assert.equal(self.proxy.requests, 0);
    await page.evaluate(() => show());
    await self.events("pageview");
});
