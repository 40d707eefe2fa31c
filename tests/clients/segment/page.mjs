import { load, send } from "./events.mjs";

export default settings => send(settings);

// It keeps what it has not sent for the next visit.
export async function again(settings) {
    await load(settings).ready();
}
