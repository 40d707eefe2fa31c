// Stacks with the original source: what shows, where a map is missing, and that a map's text is never markup.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { appWith, suite } from "./lib/suite.mjs";

const world = suite();
const SCREENSHOTS = new URL("../../target/dashboard/screenshots/", import.meta.url).pathname;
const ID = "216afa31-0255-52e5-a4a2-f739258241b5";
const OTHER_ID = "316afa31-0255-52e5-a4a2-f739258241b5";
const CODE = 'function g(e,r){if(r<=0)throw new RangeError(`cannot charge ${r}`);return e.number.length*r}g({number:"42"},-1);\n';
/** By esbuild. */
const MAP = {
    version: 3,
    sources: ["src/checkout.ts"],
    sourcesContent: [
        "export function charge(card: { number: string }, amount: number): number {\n  if (amount <= 0) {\n    // <img src=x onerror=alert(1)>\n    throw new RangeError(`cannot charge ${amount}`);\n  }\n  return card.number.length * amount;\n}\ncharge({ number: '42' }, -1);\n",
    ],
    names: ["charge", "card", "amount"],
    mappings: "AAAO,SAASA,EAAOC,EAA0BC,EAAwB,CACvE,GAAIA,GAAU,EAEZ,MAAM,IAAI,WAAW,iBAAiBA,CAAM,EAAE,EAEhD,OAAOD,EAAK,OAAO,OAASC,CAC9B,CACAF,EAAO,CAAE,OAAQ,IAAK,EAAG,EAAE",
};

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

/** A zip without compression. */
function zip(files) {
    const [bodies, entries] = [[], []];
    let at = 0;
    for (const [name, text] of Object.entries(files)) {
        const [path, content] = [Buffer.from(name), Buffer.from(text)];
        const common = Buffer.alloc(26);
        common.writeUInt16LE(20, 0);
        common.writeUInt16LE(0x21, 8);
        common.writeUInt32LE(crc32(content), 10);
        common.writeUInt32LE(content.length, 14);
        common.writeUInt32LE(content.length, 18);
        common.writeUInt16LE(path.length, 22);
        const tail = Buffer.alloc(14);
        tail.writeUInt32LE(at, 10);
        bodies.push(Buffer.from("PK\x03\x04"), common, path, content);
        entries.push(Buffer.from("PK\x01\x02\x14\x00"), common, tail, path);
        at += 30 + path.length + content.length;
    }
    const directory = Buffer.concat(entries);
    const end = Buffer.alloc(22);
    end.write("PK\x05\x06", "latin1");
    end.writeUInt16LE(Object.keys(files).length, 8);
    end.writeUInt16LE(Object.keys(files).length, 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(at, 16);
    return Buffer.concat([...bodies, directory, end]);
}

async function upload(app) {
    const { key } = await world.tally.call("POST", `/apps/${app.id}/keys`, { scopes: ["upload"] });
    const file = (type, url) => ({ type, url, headers: { "debug-id": ID } });
    const manifest = { files: { "a.js": file("minified_source", "~/app.js"), "a.map": file("source_map", "~/app.js.map") } };
    const bundle = zip({ "a.js": CODE, "a.map": JSON.stringify(MAP), "manifest.json": JSON.stringify(manifest) });
    const sha1 = createHash("sha1").update(bundle).digest("hex");
    const form = new FormData();
    form.append("file", new Blob([bundle]), sha1);
    const headers = { authorization: `Bearer ${key}` };
    const base = `${world.tally.url}/api/0/organizations/any`;
    const sent = await fetch(`${base}/chunk-upload/`, { method: "POST", headers, body: form });
    assert.equal(sent.status, 200, await sent.text());
    const body = JSON.stringify({ checksum: sha1, chunks: [sha1], projects: [app.id] });
    const reply = await (await fetch(`${base}/artifactbundle/assemble/`, { method: "POST", headers, body })).json();
    assert.equal(reply.state, "ok", JSON.stringify(reply));
}

test("a minified frame shows its source, and one without a map says what to do", async () => {
    const frames = [
        { function: "g", filename: "https://shop.example/app.js", lineno: 1, colno: 31, in_app: true, debug_id: ID },
        { function: "t.x", filename: "https://shop.example/vendor.js", lineno: 1, colno: 9, in_app: true, debug_id: OTHER_ID },
    ];
    const app = await appWith(world.tally, [
        { name: "RangeError", level: "ERROR", message: "cannot charge -1", stack: [{ type: "RangeError", value: "cannot charge -1", frames }] },
    ]);
    await upload(app);
    const [issue] = (await world.tally.call("GET", `/apps/${app.id}/issues?since=7d`)).items;
    const [event] = (await world.tally.call("GET", `/apps/${app.id}/events`)).items;
    for (const [name, path] of [
        ["issue", `/?app=${app.id}&view=errors&issue=${issue.id}&since=7d`],
        ["event", `/?app=${app.id}&view=events&since=7d&event=${event.id}`],
    ]) {
        const page = await world.signIn(path);
        const frame = page.locator(".frame").filter({ hasText: "src/checkout.ts:4" });
        await frame.first().waitFor();
        assert.match(await frame.first().innerText(), /charge/);
        const marked = page.locator(".source-line[aria-current]").first();
        assert.match(await marked.innerText(), /4\s+throw new RangeError/);
        // What a source says is text.
        assert.match(await page.locator("pre.code").first().innerText(), /<img src=x onerror=alert\(1\)>/);
        assert.equal(await page.locator(".frame img").count(), 0);
        await page.getByText("No source map for this file: upload it with sentry-cli").first().waitFor();
        const minified = page.getByText("https://shop.example/app.js:1:31").first();
        assert.ok(!(await minified.isVisible()));
        await page.getByRole("button", { name: "Minified" }).first().click();
        assert.ok(await minified.isVisible());
        await page.screenshot({ path: `${SCREENSHOTS}source-map-${name}.png`, fullPage: true });
    }
});
