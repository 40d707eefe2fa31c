import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatBytes, formatDollars, formatExact, formatTime } from '../format.js';
import { Panel } from '../panel.js';
import { listTable, numberCell, tabHead } from './list.js';

/**
 * @typedef {{ app?: string, day?: string, events: number | null, bytes: number | null }} UsageRow
 * @typedef {{ days: UsageRow[], events: number, bytes: number }} UsageReply what the app stores a day
 * @typedef {{
 *   items: UsageRow[], next: string | null, cost?: { dollars_from: number, dollars_to: number, prices: string },
 *   disk?: { database_bytes: number, free_bytes: number | null, full_at: string | null },
 * }} UsageOfAll
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function usageTab({ app, tz }) {
  const panel = new Panel({ what: 'Usage' });
  const others = new Panel({ what: 'Usage of all apps' });
  panel.show(
    (signal) => get(appPath(app ?? '', 'usage'), [], signal),
    (/** @type {UsageReply} */ { days, events, bytes }) => [
      tabHead(
        'Usage',
        `The last 30 days: ${formatExact(events)} events, about ${formatBytes(bytes)}. Days are in UTC.`,
      ),
      usageTable('Day', days.filter((each) => each.events).reverse()),
    ],
  );
  others.show(
    (signal) => get('usage', [], signal),
    (/** @type {UsageOfAll} */ { items, next, disk, cost }) => [
      tabHead(
        'All apps',
        [
          disk &&
            `The database takes ${formatBytes(disk.database_bytes)}${
              disk.free_bytes === null ? '' : `, ${formatBytes(disk.free_bytes)} are free`
            }${disk.full_at ? `: full on ${formatTime(disk.full_at, tz, 'date')} at this rate` : ''}.`,
          cost &&
            `Their events cost ${formatDollars(cost.dollars_from)} to ${formatDollars(cost.dollars_to)} in 30 days: an estimate (${cost.prices}).`,
          next && `The first ${items.length}.`,
        ]
          .filter(Boolean)
          .join(' '),
      ),
      usageTable('App', items),
    ],
  );
  return {
    element: h('div', null, panel.element, others.element),
    close() {
      panel.close();
      others.close();
    },
  };
}

/**
 * @param {string} of
 * @param {UsageRow[]} rows
 */
function usageTable(of, rows) {
  return listTable(
    `Usage by ${of.toLowerCase()}`,
    [of, 'Events', '≈ Bytes'],
    rows.map(({ app, day, events, bytes }) => [
      day ?? app,
      events === null ? 'not read' : numberCell(events),
      h('span', { class: 'number' }, bytes === null ? '' : formatBytes(bytes)),
    ]),
    'Nothing was sent in the last 30 days.',
  );
}
