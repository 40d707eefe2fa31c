import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatBytes, formatExact } from '../format.js';
import { Panel } from '../panel.js';
import { listTable, numberCell, tabHead } from './list.js';

/**
 * What the app stores a day, the newest first.
 *
 * @typedef {{
 *   days: { day: string, events: number, bytes: number }[], events: number, bytes: number, bytes_estimated: boolean,
 * }} UsageReply
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function usageTab({ app }) {
  const panel = new Panel({ what: 'Usage' });
  panel.show(
    (signal) => get(appPath(app ?? '', 'usage'), [], signal),
    (/** @type {UsageReply} */ usage) => {
      const about = usage.bytes_estimated ? 'about ' : '';
      const days = usage.days.filter((each) => each.events > 0).reverse();
      return [
        tabHead(
          'Usage',
          `The last 30 days: ${formatExact(usage.events)} events, ${about}${formatBytes(usage.bytes)}. Days are in UTC.`,
        ),
        listTable(
          'Usage',
          ['Day', 'Events', usage.bytes_estimated ? 'Bytes, about' : 'Bytes'],
          days.map(({ day, events, bytes }) => [
            day,
            numberCell(events),
            h('span', { class: 'number' }, formatBytes(bytes)),
          ]),
          'Nothing was sent in the last 30 days.',
        ),
      ];
    },
  );
  return { element: panel.element, close: () => panel.close() };
}
