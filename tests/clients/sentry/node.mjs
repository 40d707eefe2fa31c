// Sends events of each kind with @sentry/node.

import * as Sentry from "@sentry/node";

import { events, key, mark, url } from "../lib/client.mjs";

Sentry.init({
    dsn: `${url.replace("://", `://${key}@`)}/1`,
    environment: "production",
    release: "shop@1.2.0",
    // It cuts what is deeper, at 3 levels by default.
    normalizeDepth: 10,
    // One mode does not end the process.
    integrations: [Sentry.onUnhandledRejectionIntegration({ mode: "none" })],
});
Sentry.setUser({ id: "user-1", email: "ann@example.org", ip_address: "203.0.113.7" });
Sentry.setTag("plan", "pro");

for (let i = 0; i < events; i++) {
    const nested = { list: [1, 2.5, null, { deep: true }] };
    Sentry.captureMessage(`clicked ${mark()}`, { level: "info", extra: { text: "Ünïcode 😀 \u2028", nested } });
}

function fail() {
    throw new TypeError(mark(), { cause: new RangeError("the cause") });
}
try {
    fail();
} catch (error) {
    Sentry.captureException(error);
}
Promise.reject(new SyntaxError(mark()));
Sentry.captureMessage(Sentry.parameterize`user ${mark()} is late`, "warning");
Sentry.captureFeedback({ message: mark(), name: "Ann", email: "ann@example.org" });
Sentry.captureCheckIn({ monitorSlug: `backup-${mark()}`, status: "error", duration: 1.5 });
for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) {
    Sentry.logger[level](Sentry.logger.fmt`logged ${mark()}`, { level, half: 0.5 });
}
// More than 32 KiB goes compressed and in chunks.
Sentry.captureMessage(`large ${mark()}`, { level: "info", extra: { large: "Ünïcode 😀 ".repeat(5_000) } });

await new Promise(resolve => setTimeout(resolve, 100));
await Sentry.close(20_000);
process.exit(0);
