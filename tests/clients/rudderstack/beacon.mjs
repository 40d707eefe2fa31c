import { load, send } from "./events.mjs";

const OPTIONS = { useBeacon: true, beaconQueueOptions: { flushQueueInterval: 1_000 } };

export default settings => send(settings, OPTIONS);

export async function again(settings) {
    await load(settings, OPTIONS);
}
