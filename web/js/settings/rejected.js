import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { timeCell } from './keys.js';
import { cut, listTab } from './list.js';

/**
 * @typedef {{
 *   source: string, reason: string, count: number, first_at: string, last_at: string, detail: string, sample: string,
 * }} RejectedKind
 */

/**
 * What was refused for good.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function rejectedTab({ app, tz }) {
  return listTab({
    title: 'Rejected events',
    about: 'What was refused for good, kept for 7 days after the last one. Counts are at least these.',
    button: (load) => h('button', { type: 'button', on: { click: load } }, 'Refresh'),
    read: async (signal) => (await get(appPath(app ?? '', 'rejected'), [], signal)).items,
    columns: ['Reason', 'Source', 'Count', 'First', 'Last', 'Detail'],
    row,
    empty: 'Nothing was rejected in the last 7 days.',
  });

  /** @param {RejectedKind} kind */
  function row({ source, reason, count, first_at, last_at, detail, sample }) {
    return [
      reason.replaceAll('_', ' '),
      source,
      h('span', { class: 'number' }, `≥ ${formatExact(count)}`),
      timeCell(first_at, tz),
      timeCell(last_at, tz),
      h('details', null, h('summary', null, cut(detail)), h('pre', { tabindex: '0' }, sample)),
    ];
  }
}
