import { ApiError, appPath, get, request } from './api.js';
import { notify, openDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { menuButton } from './menu.js';
import { currentState, navigate, parseState, stateQuery } from './state.js';

/**
 * A view that was saved under a name: the query of its URL.
 *
 * @typedef {{ name: string, query: string, scope: 'me' | 'app', default: boolean, by: string, created_at: string }} SavedView
 */

/**
 * The saved views of an app.
 *
 * @param {string} app
 * @param {AbortSignal} [signal]
 * @returns {Promise<SavedView[] | null>} null where the server keeps none
 */
export async function savedViews(app, signal) {
  try {
    return (await get(appPath(app, 'views'), [], signal)).items;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 403)) {
      return null;
    }
    throw error;
  }
}

/** The star: saves what the page shows under a name, and opens what was saved. */
export function savedViewsMenu() {
  const element = menuButton({ label: '☆', title: 'Saved views', class: 'icon', align: 'right' }, (close) => {
    const list = h('div', { class: 'menu-list' }, h('p', { class: 'menu-text' }, 'Loading'));
    const app = currentState().app ?? '';
    savedViews(app).then(
      (views) => {
        if (views) {
          fill(list, entries(views));
        } else {
          element.hidden = true;
          close();
        }
      },
      (error) => fill(list, h('p', { class: 'menu-text' }, error.message)),
    );
    return list;

    /** @param {SavedView[]} views */
    function entries(views) {
      return [
        views.length === 0 && h('p', { class: 'menu-text' }, 'No view is saved yet.'),
        views.map((view) => entry(app, view, close)),
        h('button', { type: 'button', class: 'menu-item', on: { click: () => save(app, close) } }, 'Save this view…'),
      ];
    }
  });
  return element;
}

/**
 * @param {string} app
 * @param {SavedView} view
 * @param {() => void} close
 */
function entry(app, view, close) {
  const { name, query, scope } = view;
  const current = parseState(query);
  const open = () => {
    close();
    navigate({ ...current, app });
  };
  const remove = () => {
    close();
    const path = appPath(app, 'views', name);
    const body = { query, scope, default: view.default };
    request('DELETE', path, { query: [['scope', scope]] }).then(
      () => notify(`“${name}” is deleted.`, { action: 'Undo', run: () => request('PUT', path, { body }), seconds: 8 }),
      (error) => notify(error.message),
    );
  };
  const notes = [scope === 'app' && 'for everyone', view.default && 'default'].filter(Boolean).join(', ');
  return h(
    'div',
    { class: 'row' },
    h(
      'button',
      { type: 'button', class: 'menu-item', on: { click: open } },
      h('bdi', { class: 'cut' }, name),
      h('span', { class: 'muted' }, notes),
    ),
    h('button', { type: 'button', class: 'quiet icon', 'aria-label': `Delete ${name}`, on: { click: remove } }, '✕'),
  );
}

/**
 * @param {string} app
 * @param {() => void} close
 */
function save(app, close) {
  close();
  const query = stateQuery(currentState());
  const name = h('input', { name: 'name', required: true, maxlength: '100', autocomplete: 'off' });
  openDialog(
    { title: 'Save this view', action: 'Save' },
    [
      h('label', null, 'Name', name),
      h(
        'label',
        null,
        'For',
        h('select', { name: 'scope' }, option('me', 'me'), option('app', 'everyone in this app')),
      ),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'default' }), ' Open the app with this view'),
    ],
    async (data) => {
      const body = { query, scope: data.get('scope'), default: data.get('default') === 'on' };
      await request('PUT', appPath(app, 'views', name.value.trim()), { body });
      notify('Saved');
    },
  );
}

/**
 * @param {string} value
 * @param {string} label
 */
function option(value, label) {
  return h('option', { value }, label);
}
