import { appPath, get } from '../api.js';

/** The category of events that are marks in charts, such as a deploy. */
const ANNOTATION = 'annotation';

/** Marks that a chart draws. */
const MAX_MARKS = 200;

/**
 * The annotations of a range, whatever the filters are.
 *
 * @param {string} app
 * @param {import('./reply.js').Overview} reply
 * @param {AbortSignal} signal
 * @returns {Promise<import('./chart-panel.js').Mark[]>}
 */
export async function readAnnotations(app, { since, until }, signal) {
  /** @type {[string, string][]} */
  const query = [
    ['category', ANNOTATION],
    ['since', since],
    ['until', until],
    ['limit', String(MAX_MARKS)],
  ];
  const { items } = await get(appPath(app, 'events'), query, signal);
  return items.map((/** @type {Record<string, string>} */ event) => ({
    time: Date.parse(event.occurred_at ?? event.timestamp ?? ''),
    text: event.message ?? event.name,
  }));
}

/**
 * Whether there may be annotations, so that most pages do not ask: a category of that name is counted, or filters hide whether
 * it is.
 *
 * @param {import('./reply.js').Overview} reply
 * @param {boolean} filtered
 */
export function mayHaveAnnotations({ categories }, filtered) {
  return filtered || Boolean(categories?.some(({ category }) => category === ANNOTATION));
}
