import { appPath, request } from '../api.js';
import { notify, openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { stateLink } from '../link.js';
import { Panel } from '../panel.js';
import { savedViews } from '../saved-views.js';
import { parseState } from '../state.js';
import { timeCell } from './keys.js';
import { cut, listTable, tabHead } from './list.js';

/**
 * The saved views of the app: mine and everyone's.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function viewsTab({ app, tz }) {
  const id = app ?? '';
  const panel = new Panel({ what: 'Saved views' });
  load();
  return { element: panel.element, close: () => panel.close() };

  function load() {
    panel.show(
      (signal) => savedViews(id, signal),
      (views) => [
        tabHead('Saved views', 'A view is saved by the star above it.'),
        listTable(
          'Saved views',
          ['Name', 'For', 'By', 'Saved', ''],
          (views ?? []).map(row),
          views ? 'No view is saved yet.' : 'This server keeps no views.',
        ),
      ],
    );
  }

  /** @param {import('../saved-views.js').SavedView} view */
  function row(view) {
    const { name, query, scope, by, created_at } = view;
    return [
      stateLink({ ...parseState(query), app }, { class: 'text-link cut', title: name }, name),
      [scope === 'me' ? 'Me' : 'Everyone', view.default ? ' · default' : ''],
      cut(by),
      timeCell(created_at, tz),
      h('button', { type: 'button', class: 'danger', on: { click: () => remove(view) } }, 'Delete'),
    ];
  }

  /** @param {import('../saved-views.js').SavedView} view */
  function remove({ name, scope }) {
    openDialog(
      { title: 'Delete this view?', action: 'Delete', danger: true },
      h('p', null, h('strong', null, name), scope === 'app' ? ' goes for everyone in the app.' : ' goes.'),
      async () => {
        await request('DELETE', appPath(id, 'views', name), { query: [['scope', scope]] });
        notify('Deleted.');
        load();
      },
    );
  }
}
