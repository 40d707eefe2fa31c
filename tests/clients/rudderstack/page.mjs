import { load, send } from "./events.mjs";

const OPTIONS = { queueOptions: { minRetryDelay: 300, maxRetryDelay: 2_000 } };

export default settings => send(settings, OPTIONS);

// It keeps what it has not sent for the next visit.
export async function again(settings) {
    await load(settings, OPTIONS);
}
