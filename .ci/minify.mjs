// Makes web/script/tally.min.js of web/script/tally.js with `--write`; else checks that it is what this would make, and its size.
// `node .ci/minify.mjs TOOLS [--write]`, where TOOLS has the minifier that .ci/web installs.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

const [tools, mode] = process.argv.slice(2);
const { minifySync } = createRequire(`${tools}/`)("oxc-minify");

/** Most bytes after `gzip -9`. */
const MOST = 1536;
const SOURCE = new URL("../web/script/tally.js", import.meta.url);
const MADE = new URL("../web/script/tally.min.js", import.meta.url);

const { code, errors } = minifySync("tally.js", readFileSync(SOURCE, "utf8"), {
    compress: { target: "es2020" },
    mangle: { toplevel: true },
});
if (errors.length > 0) throw new Error(JSON.stringify(errors));
if (mode === "--write") writeFileSync(MADE, code);
if (readFileSync(MADE, "utf8") !== code) {
    console.error("web/script/tally.min.js is not what is made of tally.js: .ci/web --write");
    process.exit(1);
}
// As it is served, unless a setting names another path.
const size = gzipSync(code.replace("{collect}", "collect"), { level: 9 }).length;
console.log(`web/script/tally.min.js: ${code.length} bytes, ${size} after gzip -9, of ${MOST}`);
if (size > MOST) process.exit(1);
