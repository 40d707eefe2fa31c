// Sends events of each kind with @sentry/browser.

import * as Sentry from "@sentry/browser";

export default async function ({ url, key, events, mark }) {
    Sentry.init({
        dsn: `${url.replace("://", `://${key}@`)}/1`,
        environment: "production",
        release: "shop@1.2.0",
        // It cuts what is deeper, at 3 levels by default.
        normalizeDepth: 10,
    });
    Sentry.setUser({ id: "user-1", email: "ann@example.org" });
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
    // As the browser calls it for an error that nobody catches, without the message in the console.
    window.onerror("boom", location.href, 1, 1, new SyntaxError(mark()));
    Sentry.captureFeedback({ message: mark(), name: "Ann", email: "ann@example.org" });
    Sentry.logger.warn(Sentry.logger.fmt`logged ${mark()}`, { level: "warn", half: 0.5 });
}
