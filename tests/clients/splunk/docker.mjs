// Writes lines in a container whose log driver is Docker's `splunk`: `docker.mjs inline|json|raw [gzip]`.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { events, key, mark, url } from "../lib/client.mjs";

const [format, packed] = process.argv.slice(2);
const options = {
    ...{ "splunk-url": url, "splunk-token": key, "splunk-format": format },
    ...{ "splunk-source": "checkout", "splunk-sourcetype": "shop" },
    // Before a raw line stands the tag.
    tag: format === "raw" ? "" : "{{.ImageName}}",
    ...(packed && { "splunk-gzip": "true" }),
};
const container = spawn(
    "docker",
    [
        ...["run", "--rm", "--interactive", "--network", "none", "--log-driver", "splunk"],
        ...Object.entries(options).flatMap(([name, value]) => ["--log-opt", `${name}=${value}`]),
        ...[process.env.DOCKER_IMAGE, "/busybox", "cat"],
    ],
    { stdio: ["pipe", "ignore", "inherit"] },
);
const ended = once(container, "exit");
const line = text => container.stdin.write(`${text}\n`);
for (let i = 0; i < events; i++) line(`WARN: clicked ${mark()} Ünïcode 😀`);
line(JSON.stringify({ message: `text ${mark()}`, level: "error", took: 1.5 }));
console.log("done");
// What is not sent when the container ends gets one more try.
process.stdin.resume();
await once(process.stdin, "end");
container.stdin.end();
process.exitCode = (await ended)[0];
