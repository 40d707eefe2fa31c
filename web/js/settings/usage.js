import { ApiError, appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatBytes } from '../format.js';
import { Panel } from '../panel.js';
import { listTable, numberCell, tabHead } from './list.js';

/**
 * What the app uses. A server that does not tell shows nothing.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function usageTab({ app }) {
  const panel = new Panel({ what: 'Usage' });
  panel.show(
    (signal) =>
      get(appPath(app ?? '', 'usage'), [], signal).catch((error) => {
        if (error instanceof ApiError && error.status === 404) {
          return null;
        }
        throw error;
      }),
    (usage) => [
      tabHead('Usage', usage ? 'Events and bytes a day.' : 'This server does not tell what the app uses.'),
      usage
        ? listTable(
            'Usage',
            ['Day', 'Events', 'Bytes'],
            (usage.days ?? []).map((/** @type {{ day: string, events: number, bytes: number }} */ each) => [
              each.day,
              numberCell(each.events),
              h('span', { class: 'number' }, formatBytes(each.bytes)),
            ]),
            'Nothing was sent yet.',
          )
        : null,
    ],
  );
  return { element: panel.element, close: () => panel.close() };
}
