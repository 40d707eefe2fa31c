import { h } from '../dom.js';
import { fieldLabel } from '../filter-text.js';
import { formatAgo, formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { describeView, shareView } from '../share.js';
import { parseState } from '../state.js';
import { isShareLink, readKeys, revokeButton, timeCell } from './keys.js';
import { cut, listTab } from './list.js';

/**
 * The read keys that see a part of the app, or for a time.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function linksTab(state) {
  const app = state.app ?? '';
  const view = { ...state, view: 'overview', options: {} };
  return listTab({
    title: 'Share links',
    about: 'Who has a link sees its view without sign-in. A link is shown once, when it is made.',
    button: (load) =>
      h('button', { type: 'button', class: 'primary', on: { click: () => shareView(view, load) } }, 'Create link'),
    read: async (signal) => (await readKeys(app, signal)).filter(isShareLink),
    columns: ['Label', 'Shows', 'Only', 'Created', 'Expires', ''],
    row,
    empty: 'This app has no share links. Any view can be shared by the button “Share” above it.',
  });

  /**
   * @param {import('./keys.js').Key} key
   * @param {() => void} load
   */
  function row(key, load) {
    return [
      cut(key.label ?? key.id),
      shownBy(key, app),
      cut(onlyOf(key).join(' · ') || 'Everything'),
      timeCell(key.created_at, state.tz),
      expiryCell(key, state.tz),
      revokeButton(app, key, 'share link', load),
    ];
  }
}

/**
 * What a link shows, as a link to the same for whoever is signed in.
 *
 * @param {import('./keys.js').Key} key
 * @param {string} app
 */
function shownBy({ view, chart }, app) {
  const shown = parseState(view ?? chart ?? '');
  const text = describeView(shown);
  if (!view && !chart) {
    return h('span', { class: 'muted' }, 'Any view');
  }
  return stateLink(
    { ...shown, app, options: view ? shown.options : {} },
    { class: 'text-link' },
    chart ? 'Picture · ' : '',
    text,
  );
}

/** @param {import('./keys.js').Key} key */
function onlyOf({ statistics_only, hide, filter }) {
  return [
    ...(statistics_only ? ['statistics'] : []),
    ...(hide?.length ? [`no ${hide.join(', ')}`] : []),
    ...Object.entries(filter ?? {}).map(([name, value]) => `${fieldLabel(name)} ${[value].flat().join(', ')}`),
  ];
}

/**
 * @param {import('./keys.js').Key} key
 * @param {string} tz
 */
function expiryCell({ expires_at }, tz) {
  if (!expires_at) {
    return h('span', { class: 'muted' }, 'Never');
  }
  const expired = Date.parse(expires_at) < Date.now();
  return expired
    ? h('span', { class: 'muted', title: formatTime(expires_at, tz, 'full') }, `Expired ${formatAgo(expires_at)}`)
    : timeCell(expires_at, tz);
}
