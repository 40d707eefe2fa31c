// Real sentry-cli, real @sentry/node: see .ci/source-maps.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { Tally } from "../clients/lib/tally.mjs";

const run = promisify(execFile);
const { TOOLS, TALLY_BINARY, MOTO } = process.env;
const folder = await mkdtemp(join(tmpdir(), "tally-source-maps-"));
const started = [];

/** A port that is free now. */
async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise(resolve => server.once("listening", resolve));
    const { port } = server.address();
    await new Promise(resolve => server.close(resolve));
    return port;
}

/** Starts a program, and waits until it answers at an address. */
async function start(program, args, env, url) {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
    started.push(child);
    let said = "";
    child.stdout.on("data", text => { said += text; });
    for (let left = 300; left > 0; left -= 1) {
        if (child.exitCode !== null) break;
        try {
            await fetch(url);
            return () => said;
        } catch {
            await new Promise(resolve => setTimeout(resolve, 100));
        }
    }
    throw new Error(`${program} does not answer at ${url}: ${said}`);
}

async function main() {
    const bucket = {};
    if (MOTO) {
        const port = await freePort();
        const s3 = `http://127.0.0.1:${port}`;
        await start(MOTO, ["-H", "127.0.0.1", "-p", String(port)], {}, s3);
        assert.equal((await fetch(`${s3}/maps-bucket`, { method: "PUT" })).status, 200);
        Object.assign(bucket, { TALLY_MAPS_BUCKET: "maps-bucket", AWS_ENDPOINT_URL_S3: s3, AWS_REGION: "us-east-1",
            AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" });
    }
    const tally = await Tally.start(TALLY_BINARY, join(folder, "data"), bucket);
    started.push({ kill: () => tally.stop() });
    const api = tally.url;
    const { token } = await tally.call("POST", "/auth", tally.admin);
    const app = await tally.app("shop");
    const { key } = await tally.call("POST", "/apps/shop/keys", { scopes: ["upload"] });
    assert.match(key, /^tly_up_/);

    const source = join(folder, "src");
    const dist = join(folder, "dist");
    await mkdir(source);
    await writeFile(join(source, "checkout.ts"), [
        "export function charge(card: { number: string }, amount: number): number {",
        "  if (amount <= 0) {",
        "    // nothing to charge",
        "    throw new RangeError(`cannot charge ${amount}`);",
        "  }",
        "  return card.number.length * amount;",
        "}",
    ].join("\n"));
    await writeFile(join(source, "main.ts"), [
        "import * as Sentry from '@sentry/node';",
        "import { charge } from './checkout';",
        "Sentry.init({ dsn: process.env.DSN });",
        "try { charge({ number: '42' }, -1); } catch (error) { Sentry.captureException(error); }",
        "await Sentry.flush(5000);",
    ].join("\n"));
    await run(join(TOOLS, "node_modules/.bin/esbuild"), [join(source, "main.ts"), "--bundle", "--minify", "--sourcemap",
        "--platform=node", "--format=esm", "--external:@sentry/node", `--outfile=${join(dist, "app.mjs")}`]);

    const cli = (args, more = {}) => run(join(TOOLS, "node_modules/.bin/sentry-cli"), args, {
        env: { ...process.env, SENTRY_URL: api, SENTRY_AUTH_TOKEN: key, SENTRY_ORG: "any", SENTRY_PROJECT: "shop", ...more },
    }).then(({ stdout, stderr }) => ({ ok: true, said: stdout + stderr }), error => ({ ok: false, said: error.stdout + error.stderr }));
    const upload = ["sourcemaps", "upload", dist, "--release", "1.0"];

    const early = await cli(upload);
    assert.ok(!early.ok && early.said.includes("sentry-cli sourcemaps inject"), early.said);
    const injected = await cli(["sourcemaps", "inject", dist]);
    assert.ok(injected.ok, injected.said);
    const foreign = await cli(upload, { SENTRY_PROJECT: "other" });
    assert.ok(!foreign.ok && foreign.said.includes("SENTRY_PROJECT=shop"), foreign.said);
    const ingest = await cli(upload, { SENTRY_AUTH_TOKEN: app.key });
    assert.ok(!ingest.ok && ingest.said.includes("lacks the scope"), ingest.said);
    for (const time of ["first", "again"]) {
        const uploaded = await cli(upload);
        assert.ok(uploaded.ok && !uploaded.said.includes("pending"), `${time}: ${uploaded.said}`);
    }
    const byAdmin = await cli(upload, { SENTRY_AUTH_TOKEN: token });
    assert.ok(byAdmin.ok, byAdmin.said);
    const maps = (await tally.call("GET", "/apps/shop/source-maps")).items;
    assert.deepEqual(maps.map(map => [map.file, map.release]), [["~/app.mjs", "1.0"]]);

    await writeFile(join(folder, "package.json"), "{}");
    await run("ln", ["-s", join(TOOLS, "node_modules"), join(folder, "node_modules")]);
    await run(process.execPath, [join(dist, "app.mjs")], {
        env: { ...process.env, DSN: api.replace("://", `://${app.key}@`) + "/1" },
    });
    const events = (await tally.call("GET", "/apps/shop/events?name=RangeError")).items;
    assert.equal(events.length, 1, JSON.stringify(events));
    const { stack, maps: used } = await tally.call("GET", `/apps/shop/events/${events[0].id}/stack`);
    assert.deepEqual(used, { used: [maps[0].debug_id], missing: [] });
    const { original } = stack[0].frames[0];
    assert.ok(original, JSON.stringify(stack[0].frames[0]));
    assert.match(original.source, /src\/checkout\.ts$/);
    assert.deepEqual([original.function, original.line], ["charge", 4]);
    assert.equal(original.context.line, "    throw new RangeError(`cannot charge ${amount}`);");
    assert.equal(original.context.before[2], "    // nothing to charge");

    await tally.call("DELETE", `/apps/shop/source-maps/${maps[0].debug_id}`);
    const after = await tally.call("GET", `/apps/shop/events/${events[0].id}/stack`);
    assert.deepEqual(after.maps, { used: [], missing: [maps[0].debug_id] });
    console.log(`sentry-cli uploads, and a minified stack shows its source (${MOTO ? "S3 of moto" : "a folder"})`);
}

try {
    await main();
} finally {
    for (const child of started) {
        child.kill();
    }
    await rm(folder, { recursive: true, force: true });
}
