import { send } from "./events.mjs";

export default settings =>
    send(settings, {
        queueOptions: { minRetryDelay: 300, maxRetryDelay: 2_000, batch: { enabled: true, maxItems: 5, flushInterval: 1_000 } },
    });
