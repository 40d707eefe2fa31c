import { send } from "./events.mjs";

// Requests that outlive their page.
const KEEPALIVE = { integrations: { "Segment.io": { deliveryStrategy: { config: { keepalive: true } } } } };

export default settings => send(settings, KEEPALIVE);
