// Agents and daemons of Debian, for clients that are no library. Each is started once for a run, by `start()`: the variables
// that the clients' scripts get, and how it stops; or why it cannot run here.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Where `.ci/clients` puts the packages: rsyslog and syslog-ng exclude each other, so neither is installed. */
const PACKAGES = resolve(fileURLToPath(import.meta.url), "../../../../target/clients/debian");
/** Most milliseconds until Docker's daemon answers. */
const UNTIL_READY = 30_000;

/** Unpacks the packages into a folder that everybody may read: the agents run as nobody. */
function unpack() {
    const packages = existsSync(PACKAGES) ? readdirSync(PACKAGES).filter(name => name.endsWith(".deb")) : [];
    if (packages.length === 0) return undefined;
    const folder = mkdtempSync(join(tmpdir(), "tally-agents-"));
    chmodSync(folder, 0o755);
    for (const name of packages) execFileSync("dpkg", ["-x", join(PACKAGES, name), folder]);
    return folder;
}

/** rsyslog and syslog-ng, which their scripts start. */
export const syslog = {
    name: "rsyslog and syslog-ng",
    async start() {
        const folder = unpack();
        if (!folder) return { missing: "their packages are not here: .ci/clients downloads them where there is apt-get" };
        return { env: { AGENTS: folder }, stop: () => rmSync(folder, { recursive: true }) };
    },
};

/** Docker's daemon, with a place of its own, and an image that holds only busybox. */
export const docker = {
    name: "Docker",
    async start() {
        if (process.getuid?.() !== 0) return { missing: "only root may start its daemon" };
        const agents = unpack();
        if (!agents) return { missing: "there is no busybox: .ci/clients downloads it where there is apt-get" };
        const folder = mkdtempSync(join(tmpdir(), "tally-docker-"));
        const [log, host] = [join(folder, "log"), `unix://${folder}/socket`];
        const env = {
            ...process.env,
            DOCKER_HOST: host,
            // As often as a test can wait for, and in batches as small as those of the other clients.
            SPLUNK_LOGGING_DRIVER_POST_MESSAGES_FREQUENCY: "200ms",
            SPLUNK_LOGGING_DRIVER_POST_MESSAGES_BATCH_SIZE: "20",
        };
        const places = ["--data-root", "data", "--exec-root", "run", "--pidfile", "pid"].map(text =>
            text.startsWith("--") ? text : join(folder, text),
        );
        // Containers need no network: it is the daemon that sends.
        const args = [...places, "--host", host, "--bridge", "none", "--iptables=false", "--ip6tables=false"];
        const out = openSync(log, "w");
        const daemon = spawn("dockerd", args, { env, stdio: ["ignore", out, out] });
        const ended = new Promise(resolve => {
            daemon.on("error", resolve);
            daemon.on("exit", resolve);
        });
        const stop = async () => {
            daemon.kill();
            await ended;
            for (const place of [folder, agents]) rmSync(place, { recursive: true, force: true });
        };
        const run = (...command) => execFileSync("docker", command, { env, stdio: "pipe" });
        const until = Date.now() + UNTIL_READY;
        for (;;) {
            const state = await Promise.race([ended, new Promise(resolve => setTimeout(resolve, 200, "waiting"))]);
            try {
                if (state === "waiting") run("version");
                if (state === "waiting") break;
            } catch {
                // Not yet.
            }
            if (state !== "waiting" || Date.now() > until) {
                const last = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").at(-1) : "";
                await stop();
                return { missing: `its daemon does not start: ${state?.message ?? last}` };
            }
        }
        try {
            const root = join(folder, "root");
            mkdirSync(root);
            execFileSync("cp", [join(agents, "bin/busybox"), root]);
            execFileSync("tar", ["-C", root, "-cf", join(folder, "image.tar"), "."]);
            run("import", join(folder, "image.tar"), "tally-busybox");
            run("run", "--rm", "--network", "none", "tally-busybox", "/busybox", "true");
        } catch (error) {
            await stop();
            return { missing: `it runs no container: ${String(error.stderr ?? error.message).trim()}` };
        }
        return { env: { DOCKER_HOST: host, DOCKER_IMAGE: "tally-busybox" }, stop };
    },
};
