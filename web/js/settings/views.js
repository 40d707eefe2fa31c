import { appPath, request } from '../api.js';
import { notify, openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { stateLink } from '../link.js';
import { savedViews } from '../saved-views.js';
import { parseState } from '../state.js';
import { timeCell } from './keys.js';
import { cut, listTab } from './list.js';

/**
 * The saved views of the app: mine and everyone's.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function viewsTab({ app, tz }) {
  const id = app ?? '';
  const tab = listTab({
    title: 'Saved views',
    about: 'A view is saved by the star above it.',
    read: async (signal) => (await savedViews(id, signal)) ?? [],
    columns: ['Name', 'For', 'By', 'Saved', ''],
    row,
    empty: 'No view is saved.',
  });
  return tab;

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
        tab.load();
      },
    );
  }
}
