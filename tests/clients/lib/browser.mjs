// Client libraries in Chromium, on a page of another origin than Tally's.

import { existsSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where Chromium is, if it is installed. */
export const CHROMIUM = PLACES.find(place => place && existsSync(place));

/** One Chromium and one web server for a run. */
export class Browser {
    #scripts = new Map();

    static async start() {
        const self = new Browser();
        // Root, as in containers, has no sandbox.
        const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
        self.chromium = await chromium.launch({ executablePath: CHROMIUM, args });
        self.server = http.createServer(async (request, reply) => {
            try {
                const name = new URL(request.url, "http://page").pathname.slice(1);
                if (name.endsWith(".mjs")) {
                    reply.writeHead(200, { "content-type": "text/javascript" });
                    reply.end(await self.#bundle(name));
                } else {
                    reply.writeHead(200, { "content-type": "text/html; charset=utf-8" });
                    reply.end(`<!doctype html><title>${name}</title><link rel=icon href=data:,><button>press</button>`);
                }
            } catch (error) {
                reply.writeHead(500);
                reply.end(String(error));
            }
        });
        await new Promise(resolve => self.server.listen(0, "127.0.0.1", resolve));
        // The API is on 127.0.0.1: another site too.
        self.origin = `http://localhost:${self.server.address().port}`;
        return self;
    }

    /** The script of a page with everything that it imports, as one file whose exports are `client`. */
    #bundle(name) {
        if (!this.#scripts.has(name)) {
            const entry = fileURLToPath(new URL(`../${name}`, import.meta.url));
            const built = build({
                entryPoints: [entry],
                bundle: true,
                write: false,
                format: "iife",
                globalName: "client",
                platform: "browser",
                // A client library never sees the source, so a stack's frames have real names and places.
                minify: false,
                define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
                logLevel: "error",
            });
            this.#scripts.set(name, built.then(({ outputFiles }) => outputFiles[0].text));
        }
        return this.#scripts.get(name);
    }

    /**
     * Opens a page, runs the default export of its script with `settings`, and keeps it open until `isDone()`.
     * Returns the markers that it sent and what its console said. With `closes` the page is closed at once; with `returns`
     * the same visitor then opens it again, and the script's `again` runs instead.
     */
    async run(script, settings, { closes = false, returns = false }, isDone) {
        // By its own name it is a bot.
        const userAgent = `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${this.chromium.version()} Safari/537.36`;
        const context = await this.chromium.newContext({ userAgent });
        const said = [];
        const open = async () => {
            const page = await context.newPage();
            page.on("console", message => {
                if (message.type() === "error" || /CORS|Access-Control/i.test(message.text())) said.push(message.text());
            });
            page.on("pageerror", error => {
                // A page may throw one on purpose, for the library to catch.
                if (!error.message.includes(settings.marker)) said.push(`uncaught: ${error.message}`);
            });
            await page.goto(`${this.origin}/${settings.marker}`);
            await page.addScriptTag({ url: `/${script}` });
            return page;
        };
        try {
            const page = await open();
            const sent = await page.evaluate(async settings => {
                const markers = [];
                const mark = () => {
                    markers.push(`${settings.marker}-${String(markers.length + 1).padStart(5, "0")}`);
                    return markers.at(-1);
                };
                await client.default({ ...settings, mark });
                return markers;
            }, settings);
            if (closes) {
                const closed = new Promise(resolve => page.once("close", resolve));
                await page.close({ runBeforeUnload: true });
                await closed;
            }
            if (returns) await (await open()).evaluate(settings => client.again(settings), settings);
            await isDone(sent);
            return { sent, said };
        } finally {
            await context.close();
        }
    }

    async stop() {
        await this.chromium.close();
        this.server.close();
        this.server.closeAllConnections();
    }
}
