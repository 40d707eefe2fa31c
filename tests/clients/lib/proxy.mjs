// A proxy between one client library and Tally that injects one fault. It passes bytes on as they are.

import http from "node:http";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";

/** A client that never gives up waiting would hang a case. */
const LONGEST_WAIT = 90_000;

/**
 * Starts a proxy on a free port.
 * @param target the URL of Tally
 * @param fault one of FAULTS
 * @param carries `(method, path) => boolean`: whether a request brings events; the others pass untouched
 * @param keepsRefused whether the body of a request that is dropped is read, to know what was in it
 */
export async function startProxy(target, fault, carries, keepsRefused) {
    const { hostname, port } = new URL(target);
    const proxy = { requests: 0, hit: 0, refused: [], log: [], open: 0, lastSeen: Date.now() };

    const forward = (request, body) =>
        new Promise((resolve, reject) => {
            const { method, url: path, headers } = request;
            const sent = http.request({ hostname, port, method, path, headers, agent: false }, reply => {
                const parts = [];
                reply.on("data", part => parts.push(part));
                reply.on("end", () => resolve({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(parts) }));
                reply.on("error", reject);
            });
            sent.on("error", reject);
            sent.end(body);
        });

    const server = http.createServer(async (request, reply) => {
        proxy.open += 1;
        proxy.lastSeen = Date.now();
        reply.on("close", () => {
            proxy.open -= 1;
            proxy.lastSeen = Date.now();
        });
        const closed = new Promise(resolve => reply.on("close", resolve));
        const path = new URL(request.url, target).pathname;
        const brings = request.method !== "OPTIONS" && carries(request.method, path);
        if (brings) proxy.requests += 1;
        const hit = brings && fault.hits(proxy.requests);
        const note = outcome => proxy.log.push(`${request.method} ${request.url.slice(0, 120)} ${outcome}`);
        if (hit) proxy.hit += 1;
        if (hit && fault.drop === "before" && !keepsRefused) {
            note("dropped before its body");
            request.socket.destroy();
            return;
        }
        try {
            const parts = [];
            for await (const part of request) parts.push(part);
            const body = Buffer.concat(parts);
            if (hit && fault.drop === "before") {
                note("dropped, unseen by Tally");
                proxy.refused.push(...readings(body, request.url));
                request.socket.destroy();
                return;
            }
            if (hit && fault.status !== undefined) {
                if (fault.stored) await forward(request, body);
                else proxy.refused.push(...readings(body, request.url));
                note(`→ ${fault.status} by the proxy`);
                reply.writeHead(fault.status, { ...cors(request), "content-type": "text/plain", ...fault.headers });
                reply.end(`fault: ${fault.status}`);
                return;
            }
            const answer = await forward(request, body);
            if (hit && fault.twice) await forward(request, body);
            if (hit && fault.drop === "after") {
                note(`→ ${answer.status}, dropped after its body`);
                request.socket.destroy();
                return;
            }
            if (hit && fault.late) {
                note(`→ ${answer.status}, held until the client has gone`);
                await Promise.race([closed, new Promise(resolve => setTimeout(resolve, LONGEST_WAIT).unref())]);
                reply.destroy();
                return;
            }
            note(`→ ${answer.status} ${answer.status < 300 ? "" : answer.body.toString().slice(0, 300)}`);
            const { "transfer-encoding": _, connection: __, ...headers } = answer.headers;
            reply.writeHead(answer.status, headers);
            reply.end(answer.body);
        } catch (error) {
            note(`failed: ${error.message}`);
            reply.destroy();
        }
    });
    // Longer than any client keeps a connection idle, so that the only lost connections are those of the fault.
    server.keepAliveTimeout = 120_000;
    await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
    proxy.url = `http://127.0.0.1:${server.address().port}`;
    proxy.stop = () => {
        server.close();
        server.closeAllConnections();
    };
    return proxy;
}

/** What Tally's own errors carry for pages of other origins; the proxy's answers must not fail for another reason. */
function cors(request) {
    const { origin } = request.headers;
    if (origin === undefined) return {};
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "Retry-After",
        vary: "Origin",
    };
}

/** Everything that a body may say once unpacked, to look for markers in it. */
function readings(body, url) {
    const texts = [decodeURIComponent(url.replaceAll("+", " ").replace(/%(?![0-9a-f]{2})/gi, "%25"))];
    const inQuery = new URL(url, "http://tally").searchParams.get("data");
    if (inQuery !== null) texts.push(Buffer.from(inQuery, "base64").toString("latin1"));
    const unpackers = [gunzipSync, inflateSync, brotliDecompressSync];
    const packed = [body];
    for (const unpack of unpackers) {
        try {
            packed.push(unpack(body));
        } catch {
            // Not packed so.
        }
    }
    for (const bytes of packed) {
        const text = bytes.toString("latin1");
        texts.push(text);
        const form = text.match(/(?:^|&)data=([^&]*)/)?.[1];
        const plain = form === undefined ? text : decodeSafely(form);
        texts.push(plain, Buffer.from(plain, "base64").toString("latin1"));
    }
    return texts;
}

function decodeSafely(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}
