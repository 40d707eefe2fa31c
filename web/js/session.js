import { request, serverNow } from './api.js';

/** Milliseconds after the last input in which the page counts as in use. */
const IN_USE = 300_000;

let renewAt = 0;
let lastInput = Date.now();
let renewing = false;
let renewTimer = 0;

/**
 * Keeps the session of a page in use: asks for a new token once the current one has lived half of what remained. A page that is
 * hidden or untouched lets its session end.
 *
 * @param {string} expiresAt
 */
export function keepSession(expiresAt) {
  if (!renewAt) {
    for (const event of ['pointerdown', 'keydown', 'wheel', 'visibilitychange']) {
      document.addEventListener(event, noteUse, { passive: true, capture: true });
    }
  }
  // A session at its end must not make the page ask all the time.
  const wait = Math.min(Math.max((Date.parse(expiresAt) - serverNow()) / 2, 1000), 86_400_000);
  renewAt = Date.now() + wait;
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renewSession, wait);
}

function noteUse() {
  if (!document.hidden) {
    lastInput = Date.now();
    if (lastInput >= renewAt) {
      renewSession();
    }
  }
}

async function renewSession() {
  if (renewing || document.hidden || Date.now() > lastInput + IN_USE) {
    return;
  }
  renewing = true;
  try {
    keepSession((await request('GET', 'auth')).expires_at);
  } catch {
    renewAt = Date.now() + 60_000;
  } finally {
    renewing = false;
  }
}
