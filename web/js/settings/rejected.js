import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { Panel } from '../panel.js';
import { timeCell } from './keys.js';
import { cut, listTable, tabHead } from './list.js';

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
  const panel = new Panel({ what: 'Rejected events' });
  load();
  return { element: panel.element, close: () => panel.close() };

  function load() {
    panel.show(
      (signal) => get(appPath(app ?? '', 'rejected'), [], signal),
      ({ items }) => [
        tabHead(
          'Rejected events',
          'What was refused for good, kept for 7 days after the last one. Counts are at least these.',
          h('button', { type: 'button', on: { click: load } }, 'Refresh'),
        ),
        listTable(
          'Rejected events',
          ['Reason', 'Source', 'Count', 'First', 'Last', 'Detail and sample'],
          items.map(row),
          'Nothing was rejected in the last 7 days.',
        ),
      ],
    );
  }

  /** @param {RejectedKind} kind */
  function row({ source, reason, count, first_at, last_at, detail, sample }) {
    return [
      reason.replaceAll('_', ' '),
      source,
      h('span', { class: 'number' }, `≥ ${formatExact(count)}`),
      timeCell(first_at, tz),
      timeCell(last_at, tz),
      h('details', null, h('summary', null, cut(detail)), h('p', null, detail), h('pre', { tabindex: '0' }, sample)),
    ];
  }
}
