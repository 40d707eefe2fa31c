#!/usr/bin/env node
// Runs real client libraries against Tally through a proxy that injects faults, and compares what they sent with what is
// stored and counted. See README.md.

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Browser, CHROMIUM } from "./lib/browser.mjs";
import { FAULTS, SHORT } from "./lib/faults.mjs";
import { startProxy } from "./lib/proxy.mjs";
import { BINARY, Tally } from "./lib/tally.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, "../..");
const PYTHON = join(ROOT, "target/clients/venv/bin/python");

/** Most seconds of one case. */
const LONGEST = 180;
/** How long nothing may change before a count that is not what is expected is believed. */
const STILL = 10_000;
/** How long a right count must stay right: a late repetition would still arrive. */
const SETTLED = 750;

const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        short: { type: "boolean", default: false },
        client: { type: "string" },
        fault: { type: "string" },
        jobs: { type: "string", default: "4" },
        verbose: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
    },
});
if (options.help) {
    console.log("usage: run.mjs [--short] [--client TEXT] [--fault TEXT] [--jobs N] [--verbose] [FAMILY…]");
    process.exit(0);
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

async function families() {
    const files = readdirSync(HERE).filter(file => file.endsWith(".mjs") && file !== "run.mjs");
    const all = await Promise.all(files.map(async file => (await import(`./${file}`)).default));
    const unknown = positionals.filter(name => !all.some(family => family.name === name));
    if (unknown.length > 0) throw new Error(`no such family: ${unknown}; there are ${all.map(f => f.name)}`);
    return positionals.length > 0 ? all.filter(family => positionals.includes(family.name)) : all;
}

/** Every client with every fault that it is to meet. */
function plan(all) {
    const cases = [];
    for (const family of all) {
        for (const [name, client] of Object.entries(family.clients)) {
            if (options.client && !name.includes(options.client)) continue;
            for (const fault of client.only ?? Object.keys(FAULTS)) {
                if (!(fault in FAULTS)) throw new Error(`${name}: no such fault: ${fault}`);
                if (options.fault && !fault.includes(options.fault)) continue;
                // A browser is slow to start and to repeat; its short form is the way without faults.
                if (options.short && !(client.page ? fault === "none" && !client.closes : SHORT.includes(fault))) continue;
                if (options.short && client.needs) continue;
                if (client.skip?.[fault]) continue;
                cases.push({ family, name, client, fault });
            }
        }
    }
    return cases;
}

/**
 * Runs a script of a client until it ends; the markers that it printed, and all that it said. One that `stays` says `done`
 * when it has sent everything, and ends when its standard input does, after `isDone()`.
 */
function runProcess(client, settings, deadline, env, isDone) {
    const [file, ...args] = client.script;
    const program = file.endsWith(".py") ? PYTHON : process.execPath;
    return new Promise((resolve, reject) => {
        const child = spawn(program, [join(HERE, file), ...args], {
            cwd: HERE,
            env: {
                PATH: process.env.PATH,
                HOME: process.env.HOME,
                NODE_NO_WARNINGS: "1",
                PYTHONPATH: join(HERE, "lib"),
                CLIENT_URL: settings.url,
                CLIENT_APP: settings.app,
                CLIENT_KEY: settings.key,
                CLIENT_EVENTS: settings.events,
                CLIENT_FAULT: settings.fault,
                CLIENT_MARKER: settings.marker,
                ...env,
                ...client.env,
            },
        });
        let [out, said, waits] = ["", "", client.stays];
        const sent = () => [...out.matchAll(/^sent (\S+)$/gm)].map(([, marker]) => marker);
        if (!waits) child.stdin.end();
        child.stdout.on("data", data => {
            out += data;
            if (!waits || !/^done$/m.test(out)) return;
            waits = false;
            isDone(sent())
                .catch(reject)
                .finally(() => child.stdin.end());
        });
        child.stderr.on("data", data => (said += data));
        const timer = setTimeout(() => child.kill("SIGKILL"), deadline - Date.now());
        child.on("error", reject);
        child.on("close", (code, signal) => {
            clearTimeout(timer);
            resolve({ sent: sent(), said, ended: signal ?? code });
        });
    });
}

/** How often each marker is stored, and how many events there are in all. */
async function look(tally, app, marker) {
    const [events, counted] = await Promise.all([tally.events(app), tally.counted(app)]);
    const found = new Map();
    for (const event of events) {
        // The event's own comes first: a library may repeat the past, such as breadcrumbs, further on.
        const [text] = JSON.stringify(event).match(new RegExp(`${marker}-\\d{5}`)) ?? [];
        if (text !== undefined) found.set(text, (found.get(text) ?? 0) + 1);
    }
    return { events, found, counted, total: events.reduce((sum, event) => sum + (event.count ?? 1), 0) };
}

async function runCase(tally, browser, agents, { family, name, client, fault: faultName }, index) {
    const deadline = Date.now() + (client.longest ?? LONGEST) * 1000;
    const [fault, marker] = [FAULTS[faultName], `mark${String(index).padStart(3, "0")}`];
    const lossy = faultName === "none" ? undefined : client.loses?.[faultName];
    const app = await tally.app(`${family.name} ${index}`);
    const proxy = await startProxy(tally.url, fault, family.carries, lossy !== undefined);
    const settings = { url: proxy.url, app: app.id, key: app.key, events: client.events ?? 20, fault: faultName, marker };
    const failures = [];

    const missing = (sent, found) => sent.filter(text => !found.has(text));
    const mayMiss = text => lossy !== undefined && proxy.refused.some(body => body.includes(text));
    /** Waits until all is as expected and stays so, or nothing has changed for long. */
    const settle = async sent => {
        let [seen, since] = ["", Date.now()];
        for (;;) {
            const { found, counted, total } = await look(tally, app.id, marker);
            const right = missing(sent, found).every(mayMiss) && counted === total && proxy.open === 0;
            const now = `${found.size} ${total} ${counted} ${proxy.log.length} ${proxy.open}`;
            // A request that is not answered yet may still change something.
            if (now !== seen || proxy.open > 0) [seen, since] = [now, Date.now()];
            const still = Date.now() - Math.max(since, proxy.lastSeen);
            if (still >= (right ? SETTLED : (client.patience ?? 0) * 1000 + STILL) || Date.now() > deadline) return;
            await pause(100);
        }
    };

    let ran = { sent: [], said: "" };
    try {
        if (client.page) {
            ran = await browser.run(client.page, settings, client, settle);
            // The refused request of a fault is an error of the console by itself; everything about origins is ours.
            const bad = ran.said.filter(text => faultName === "none" || /CORS|Access-Control|uncaught/i.test(text));
            if (fault.drop !== undefined || fault.late) {
                // A connection that ends without a reply has no headers for any origin.
            } else if (bad.length > 0) failures.push(`the console says: ${bad.join(" / ")}`);
        } else {
            ran = await runProcess(client, settings, deadline, agents.get(client.needs)?.env, settle);
            if (ran.ended !== 0) failures.push(`the script ended with ${ran.ended}`);
        }
        await settle(ran.sent);
    } catch (error) {
        failures.push(error.message);
    }
    proxy.stop();

    const { events, found, counted, total } = await look(tally, app.id, marker);
    const lost = missing(ran.sent, found);
    const twice = [...found].filter(([, times]) => times > 1).map(([text]) => text);
    const unexpected = lost.filter(text => !mayMiss(text));
    if (ran.sent.length === 0) failures.push("nothing was sent");
    if (faultName !== "none" && proxy.hit === 0) failures.push("the fault was never met");
    if (unexpected.length > 0) failures.push(`${unexpected.length} missing, such as ${unexpected.slice(0, 3)}`);
    if (twice.length > 0) failures.push(`${twice.length} stored twice, such as ${twice.slice(0, 3)}`);
    if (counted !== total) failures.push(`${total} are stored and ${counted} counted`);
    const rejected = await tally.rejected(app.id);
    if (rejected.length > 0 && !client.rejects) failures.push(`rejected: ${JSON.stringify(rejected).slice(0, 500)}`);
    if (faultName === "none" && failures.length === 0) {
        try {
            await client.check?.(events, { marker, rejected });
        } catch (error) {
            failures.push(`what is stored: ${error.message}`);
        }
    }
    return {
        client: name,
        fault: faultName,
        sent: ran.sent.length,
        stored: ran.sent.length - lost.length,
        // Beside the marked events a library may send some of its own, which are stored and counted too.
        counted: counted - (total - [...found.values()].reduce((sum, times) => sum + times, 0)),
        expected: lossy === undefined ? `all ${ran.sent.length}, once` : `all but the refused: ${lossy}`,
        failures,
        log: proxy.log,
        said: [ran.said].flat().join("\n"),
    };
}

/** Starts what clients need beside Tally; why each that cannot run is not there. */
async function startAgents(cases) {
    const started = new Map();
    for (const agent of new Set(cases.map(({ client }) => client.needs).filter(Boolean))) {
        started.set(agent, await agent.start());
        const { missing } = started.get(agent);
        if (missing) console.error(`${agent.name}: skipped, ${missing}`);
    }
    return started;
}

function print(rows) {
    const columns = ["client", "fault", "sent", "stored", "counted", "expected", ""];
    const cells = rows.map(row => [
        ...columns.slice(0, -1).map(column => String(row[column])),
        row.failures.length === 0 ? "ok" : "WRONG",
    ]);
    const widths = columns.map((column, i) => Math.max(column.length, ...cells.map(row => row[i].length)));
    const numeric = i => i >= 2 && i <= 4;
    const line = row => `| ${row.map((cell, i) => (numeric(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(" | ")} |`;
    console.log(line(columns));
    console.log(`|${widths.map((width, i) => (numeric(i) ? `${"-".repeat(width + 1)}:` : "-".repeat(width + 2))).join("|")}|`);
    for (const row of cells) console.log(line(row));
}

async function main() {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build --bin tally, or set TALLY_BINARY`);
    const planned = plan(await families());
    if (planned.length === 0) throw new Error("no case matches");
    const agents = await startAgents(planned);
    const cases = planned.filter(({ client }) => !agents.get(client.needs)?.missing);
    const needsBrowser = cases.some(({ client }) => client.page);
    if (needsBrowser && !CHROMIUM) throw new Error("Chromium is missing: apt-get install chromium, or set CHROMIUM");
    const tally = await Tally.start(BINARY);
    const browser = needsBrowser ? await Browser.start() : undefined;
    const [started, rows] = [Date.now(), []];
    try {
        let next = 0;
        const worker = async () => {
            while (next < cases.length) {
                const index = next;
                next += 1;
                rows[index] = await runCase(tally, browser, agents, cases[index], index);
                const { client, fault, failures } = rows[index];
                const verdict = failures.length === 0 ? "ok" : `WRONG: ${failures.join("; ")}`;
                console.error(`${client}, ${fault}: ${verdict} (after ${Math.round((Date.now() - started) / 1000)} s)`);
            }
        };
        await Promise.all(Array.from({ length: Number(options.jobs) }, worker));
    } finally {
        await browser?.stop();
        tally.stop();
        for (const { stop } of agents.values()) await stop?.();
    }
    const wrong = rows.filter(row => row.failures.length > 0);
    for (const row of options.verbose ? rows : wrong) {
        console.log(`\n${row.client}, ${row.fault}: ${row.failures.join("; ") || "ok"}`);
        console.log(row.log.slice(0, 60).map(line => `  ${line}`).join("\n"));
        if (row.said) console.log(row.said.slice(-3000).replace(/^/gm, "  said: "));
    }
    console.log();
    print(rows);
    console.log(`\n${rows.length} cases, ${wrong.length} wrong`);
    process.exitCode = wrong.length === 0 ? 0 : 1;
}

main().catch(error => {
    console.error(error.message);
    process.exitCode = 1;
});
