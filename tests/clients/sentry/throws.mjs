// Throws an exception as often as it is told, with @sentry/node.

import * as Sentry from "@sentry/node";

const [, , url, key, times] = process.argv;
Sentry.init({ dsn: `${url.replace("://", `://${key}@`)}/1`, environment: "production", release: "shop@1.2.0" });

function charge(cart) {
    throw new TypeError(`cart ${cart} cannot be charged`);
}
for (let cart = 0; cart < Number(times); cart++) {
    try {
        charge(484_509 + cart);
    } catch (error) {
        Sentry.captureException(error);
    }
}
await Sentry.close(20_000);
