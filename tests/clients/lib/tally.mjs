// A Tally of our own for one run, and what is asked of it. The tests of client libraries and of the dashboard use it.

import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = resolve(fileURLToPath(import.meta.url), "../../../..");
/** The server that is tested: of `TALLY_BINARY`, or what cargo built. */
export const BINARY = process.env.TALLY_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug/tally");

export class Tally {
    #process;
    #token;

    /**
     * Starts one on a free port. It keeps nothing, or its data in a folder: in memory is room for 1 GiB. Of the variables `TALLY_…`
     * it has those of `settings` alone.
     */
    static async start(binary, folder = null, settings = {}) {
        const tally = new Tally();
        const own = Object.entries(process.env).filter(([name]) => !name.startsWith("TALLY_"));
        const args = ["serve", ...(folder ? ["--data", folder] : ["--memory"]), "--no-dynamodb", "--port", "0"];
        tally.#process = spawn(binary, args, {
            env: { RUST_LOG: "warn", ...Object.fromEntries(own), ...settings },
            stdio: ["ignore", "pipe", "inherit"],
        });
        const failed = new Promise((_, reject) => {
            tally.#process.on("error", error => reject(new Error(`${binary}: ${error.message}`)));
            tally.#process.on("exit", code => reject(new Error(`${binary} ended with ${code}`)));
        });
        failed.catch(() => {});
        const lines = createInterface({ input: tally.#process.stdout });
        const banner = await Promise.race([failed, readBanner(lines)]);
        tally.url = banner.match(/ on (http:\/\/\S+)/)[1];
        /** What it printed when it was ready. */
        tally.banner = banner;
        const [, username, password] = banner.match(/"username":"([^"]+)","password":"([^"]+)"/);
        tally.admin = { username, password };
        tally.#token = (await tally.call("POST", "/auth", { username, password })).token;
        return tally;
    }

    stop() {
        this.#process.removeAllListeners("exit");
        this.#process.kill();
    }

    /** Makes an app; its name and ingest key. */
    async app(name, settings = {}) {
        const made = await this.call("POST", "/apps", { name, ...settings });
        return { id: made.id, key: made.ingest_key };
    }

    /** All events of an app. */
    async events(app) {
        const all = [];
        let query = "limit=500";
        for (;;) {
            const page = await this.call("GET", `/apps/${app}/events?${query}`);
            all.push(...page.items);
            if (!page.next) return all;
            query = `cursor=${encodeURIComponent(page.next)}`;
        }
    }

    /** What the counters of an app add up to. */
    async counted(app) {
        const { items } = await this.call("GET", `/apps/${app}/stats/totals`);
        return items.reduce((sum, item) => sum + item.count, 0);
    }

    /** The rejected events of an app, if the server tells them. */
    async rejected(app) {
        const reply = await this.#fetch("GET", `/apps/${app}/rejected`);
        return reply.status === 200 ? (await reply.json()).items : [];
    }

    #fetch(method, path, body) {
        const headers = { "content-type": "application/json" };
        if (this.#token) headers["x-access-token"] = this.#token;
        return fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    }

    /** Sends a request as the admin; what it answers. */
    async call(method, path, body) {
        const reply = await this.#fetch(method, path, body);
        const text = await reply.text();
        if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
        return text ? JSON.parse(text) : null;
    }
}

/** Reads what it prints until it is ready, and goes on reading, so that the pipe never fills. */
function readBanner(lines) {
    return new Promise((resolve, reject) => {
        let banner = "";
        lines.on("line", line => {
            banner += `${line}\n`;
            if (line.startsWith("Ctrl-C")) resolve(banner);
        });
        lines.on("close", () => reject(new Error(`the server ended before it was ready:\n${banner}`)));
    });
}
