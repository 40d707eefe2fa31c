import { get } from './api.js';

/** @typedef {{ id: string, name: string, open_issues?: number | null }} App */

/**
 * All apps in order of their names.
 *
 * @param {AbortSignal} [signal]
 * @returns {Promise<App[]>}
 */
export async function readApps(signal) {
  const apps = [];
  /** @type {string | null} */
  let next = null;
  do {
    const reply = await get('apps', next ? [['next', next]] : [], signal);
    apps.push(...reply.items);
    next = reply.next;
  } while (next);
  return apps.sort((a, b) => a.name.localeCompare(b.name));
}
