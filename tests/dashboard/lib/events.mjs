// Events that tests send.

const MINUTE = 60_000;

/** `count` events of a shop, one a minute, the newest a minute ago. Numbered, so that the same call makes the same events. */
export function shopEvents(count, now = Date.now()) {
    return Array.from({ length: count }, (_, at) => shopEvent(at, now - (at + 1) * MINUTE));
}

function shopEvent(at, time) {
    const user = `user-${at % 7}`;
    const common = {
        id: `shop-${at}`,
        timestamp: new Date(time).toISOString(),
        user_id: user,
        session_id: `${user}-${Math.floor(at / 70)}`,
    };
    if (at % 10 === 9) {
        return {
            ...common,
            name: "error",
            category: "api",
            level: at % 20 === 19 ? "FATAL" : "ERROR",
            message: at % 20 === 19 ? "OutOfMemory: worker ended" : "PaymentDeclined: card expired",
            stack: [
                { function: "checkout", file: "src/checkout.ts", line: 42, column: 7, in_app: true },
                { function: "handle", file: "node_modules/express/router.js", line: 284, in_app: false },
            ],
            tags: { release: "2.4.1" },
        };
    }
    if (at % 3 === 0) {
        const data = { plan: at % 2 ? "pro" : "free", amount: at, source: { campaign: "spring" } };
        return { ...common, name: "signup", category: "account", level: "INFO", data };
    }
    return { ...common, name: "page_view", category: "web", level: "DEBUG", data: { path: `/p/${at % 4}` } };
}
