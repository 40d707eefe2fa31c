import { appPath, get, request } from '../api.js';
import { createKey } from '../create-key.js';
import { notify, openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { formatExact, formatTime } from '../format.js';
import { cut, listTab } from './list.js';

/**
 * A key without its secret. What follows `events_per_minute` are the restrictions of a share link.
 *
 * @typedef {{
 *   id: string, scopes: ('ingest' | 'read' | 'upload')[], label: string | null, created_at: string, origins: string[] | null,
 *   events_per_minute: number | null, expires_at?: string | null, filter?: Record<string, string | string[]> | null,
 *   hide?: string[] | null, statistics_only?: boolean, view?: string | null, chart?: string | null,
 * }} Key
 */

/**
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function keysTab({ app, tz }) {
  const id = app ?? '';
  return listTab({
    title: 'Keys',
    about: 'A key is shown once, when it is made: Tally stores a hash of it alone.',
    button: (load) =>
      h('button', { type: 'button', class: 'primary', on: { click: () => createKey(id, load) } }, 'Create key'),
    read: async (signal) => (await readKeys(id, signal)).filter((key) => !isShareLink(key)),
    columns: ['Label', 'Id', 'May', 'Created', 'Expires', 'Bounds', ''],
    row,
    empty: 'This app has no keys.',
  });

  /**
   * @param {Key} key
   * @param {() => void} load
   */
  function row(key, load) {
    return [
      key.label ? cut(key.label) : h('span', { class: 'muted' }, 'None'),
      h('code', null, key.id),
      key.scopes.map((scope) => ({ ingest: 'Send', read: 'Read', upload: 'Upload' })[scope]).join(', '),
      timeCell(key.created_at, tz),
      key.expires_at ? timeCell(key.expires_at, tz) : h('span', { class: 'muted' }, 'Never'),
      cut(boundsOf(key).join(' · ') || 'None'),
      revokeButton(id, key, 'key', load),
    ];
  }
}

/**
 * @param {string} app
 * @param {AbortSignal} signal
 * @returns {Promise<Key[]>}
 */
export async function readKeys(app, signal) {
  return (await get(appPath(app, 'keys'), [], signal)).items;
}

/**
 * Whether a key is one of a share link: it reads, and not everything or not for ever.
 *
 * @param {Key} key
 */
export function isShareLink(key) {
  const { scopes, filter, hide, statistics_only, view, chart, expires_at } = key;
  return scopes.join() === 'read' && Boolean(filter || hide?.length || statistics_only || view || chart || expires_at);
}

/**
 * @param {string} time
 * @param {string} tz
 */
export function timeCell(time, tz) {
  return h('time', { datetime: time, title: formatTime(time, tz, 'full') }, formatTime(time, tz, 'date'));
}

/** @param {Key} key */
function boundsOf(key) {
  return [
    ...(key.origins ?? []),
    ...(key.events_per_minute === null ? [] : [`${formatExact(key.events_per_minute)} events/min`]),
  ];
}

/**
 * @param {string} app
 * @param {Key} key
 * @param {'key' | 'share link'} what
 * @param {() => void} done
 */
export function revokeButton(app, { id, label }, what, done) {
  return h(
    'button',
    { type: 'button', class: 'danger', 'aria-label': `Revoke ${label ?? id}`, on: { click } },
    'Revoke',
  );

  function click() {
    openDialog(
      { title: `Revoke this ${what}?`, action: 'Revoke', danger: true },
      h('p', null, h('strong', null, label ?? id), ' stops working within 60 seconds. It cannot be undone.'),
      async () => {
        await request('DELETE', appPath(app, 'keys', id));
        notify('Revoked.');
        done();
      },
    );
  }
}
