import { appPath, request } from './api.js';

/**
 * @typedef {{
 *   day: string, name: string | null, slug: string | null, category: string | null, level: string | null,
 *   counted: number, stored: number, message_hash?: string,
 * }} Difference
 */

/**
 * What an audit has found until now. `counted` and `stored` are null where the server does not tell the totals.
 *
 * @typedef {{
 *   days: number, differences: Difference[], leftOut: number, counted: number | null, stored: number | null,
 *   complete: boolean, done: boolean,
 * }} Findings
 */

/**
 * Compares the counts of whole days with the stored events, and corrects them if it is a recount. It goes on, call by call, until
 * all days are done.
 *
 * @param {string} app
 * @param {'audit' | 'recount'} kind
 * @param {{ since?: string, until?: string }} range
 * @param {AbortSignal} signal
 * @param {(findings: Findings) => void} progress called after each reply
 */
export async function auditRange(app, kind, range, signal, progress) {
  /** @type {Findings} */
  const findings = { days: 0, differences: [], leftOut: 0, counted: null, stored: null, complete: true, done: false };
  /** @type {Record<string, unknown>} */
  let body = range;
  while (!findings.done) {
    const reply = await request('POST', appPath(app, kind), { body, signal });
    findings.days += reply.days;
    findings.differences.push(...reply.differences);
    findings.leftOut += reply.left_out?.items ?? 0;
    findings.complete = findings.complete && (reply.complete || reply.next !== null);
    if (typeof reply.counted === 'number') {
      findings.counted = (findings.counted ?? 0) + reply.counted;
      findings.stored = (findings.stored ?? 0) + reply.stored;
    }
    findings.done = reply.next === null;
    body = { next: reply.next };
    progress(findings);
  }
}
