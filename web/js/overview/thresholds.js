import { appPath, get } from '../api.js';
import { COUNTED_FIELDS } from '../page.js';

/** The windows that are as long as a column: others cannot be compared with one. */
/** @type {Record<string, string>} */
const COLUMN_WINDOWS = { MINUTE: '1m', HOUR: '1h', DAY: '1d', WEEK: '1w' };

/** Lines that a chart draws. */
const MOST_THRESHOLDS = 5;

/** @typedef {{ value: number, text: string }} Threshold of an alert rule, which is a line in the chart */

/**
 * Whether rules are asked for. The first view of an app makes no request for them.
 *
 * @param {import('../page.js').Account} account
 * @param {import('../state.js').State} state
 */
export function mayHaveThresholds(account, { filters, options }) {
  return (
    account.kind === 'user' &&
    (filters.length > 0 || Boolean(options.interval)) &&
    filters.every(({ field, operator }) => COUNTED_FIELDS.includes(field) && /^(ne)?$/.test(operator))
  );
}

/**
 * The thresholds of rules that count what the chart shows: the same filter, by windows as long as a column.
 *
 * @param {import('../state.js').State} state
 * @param {string} interval
 * @param {AbortSignal} signal
 * @returns {Promise<Threshold[]>}
 */
export async function readThresholds({ app, filters }, interval, signal) {
  const wanted = filters.map(({ field, operator, values }) => [operator ? `${field}[${operator}]` : field, values]);
  const same = sorted(Object.fromEntries(wanted));
  /** @type {{ items: import('../alerts/rule.js').Rule[] }} */
  const { items } = await get(appPath(app ?? '', 'alerts'), [], signal);
  return items
    .flatMap(({ enabled, window: length, filter, condition, sentence }) => {
      const value = condition.above ?? condition.below;
      const fits = enabled && length === COLUMN_WINDOWS[interval] && sorted(filter) === same;
      return fits && value !== undefined ? [{ value, text: sentence }] : [];
    })
    .slice(0, MOST_THRESHOLDS);
}

/** @param {Record<string, string[]>} filter */
function sorted(filter) {
  return JSON.stringify(
    Object.entries(filter)
      .map(([name, values]) => [name, [...values].sort()])
      .sort(),
  );
}
