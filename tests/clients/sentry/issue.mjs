// The life of an error that @sentry/node sends: an issue, which is resolved, occurs again, and whoever waits for that is told.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { BINARY, Tally } from "../lib/tally.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
/** Rules are judged each minute. */
const SOON = 150_000;

const told = [];
const receiver = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    told.push(JSON.parse(body));
    response.writeHead(204).end();
});
await new Promise(resolve => receiver.listen(0, "127.0.0.1", resolve));
const target = `127.0.0.1:${receiver.address().port}`;

const tally = await Tally.start(BINARY, null, { TALLY_WEBHOOK_ALLOW: target });
try {
    const app = await tally.app("shop");
    const path = `/apps/${app.id}`;
    const throws = times => promisify(execFile)(process.execPath, [join(HERE, "throws.mjs"), tally.url, app.key, String(times)]);
    const until = async (what, found) => {
        for (const end = Date.now() + SOON; ; await new Promise(resolve => setTimeout(resolve, 100))) {
            const value = await found();
            if (value) return value;
            assert.ok(Date.now() < end, `${what} does not come: ${JSON.stringify(told)}`);
        }
    };
    const issues = async () => (await tally.call("GET", `${path}/issues`)).items;

    // The two rules that each app has wait for a channel.
    for (const rule of (await tally.call("GET", `${path}/alerts`)).items) {
        await tally.call("PATCH", `${path}/alerts/${rule.id}`, { channels: [{ type: "webhook", url: `http://${target}/hook` }] });
    }
    await throws(2);
    const issue = await until("an issue with two occurrences", async () => (await issues()).find(issue => issue.count === 2));
    assert.equal((await issues()).length, 1);
    assert.deepEqual([issue.title, issue.name, issue.state], ["TypeError: cart <n> cannot be charged", "TypeError", "open"]);
    await until("the message of a new issue", () => told.find(each => each.type === "issue.new"));

    assert.equal((await tally.call("PATCH", `${path}/issues/${issue.id}`, { state: "resolved" })).state, "resolved");
    await throws(1);
    const again = await until("the regression", async () => (await issues()).find(issue => issue.regressed));
    assert.deepEqual([again.id, again.state, again.count], [issue.id, "open", 3]);
    const message = await until("the message of the regression", () => told.find(each => each.type === "issue.regressed"));
    assert.match(message.data.sentence, /occurs again: .*cart <n> cannot be charged/);
    assert.deepEqual(told.map(each => each.type), ["issue.new", "issue.regressed"]);
    console.log("@sentry/node: sent twice it is one issue of 2; resolved and sent again it is regressed, and both were told");
} finally {
    tally.stop();
    receiver.close();
}
