import { h } from '../dom.js';
import { cutText, timeText } from '../event-row.js';
import { formatExact } from '../format.js';
import { registerKeys } from '../keys.js';
import { stateLink } from '../link.js';
import { briefLength } from './parts.js';

/**
 * @typedef {{
 *   session_id: string, user_id: string | null, first_at: string, last_at: string, duration_seconds: number, events: number,
 *   errors: number, first_name: string, last_name: string, cut: boolean,
 * }} ListedSession
 */

/**
 * A session in a row that opens its time line.
 *
 * @param {ListedSession} session
 * @param {import('../state.js').State} state
 */
export function sessionRow(session, state) {
  const { first_name: first, last_name: last, errors, cut } = session;
  const least = cut ? '≥ ' : '';
  const why = cut ? 'It may have begun earlier: its newest events were read' : null;
  const names =
    first === last
      ? [h('bdi', null, cutText(first))]
      : [h('bdi', null, cutText(first)), h('span', { class: 'muted' }, ' → '), h('bdi', null, cutText(last))];
  return h(
    'li',
    { class: 'people-row session-row' },
    personLink('session_id', session.session_id, state, { class: 'row-link cut' }, names),
    h('span', { class: 'session-time' }, timeText(session.first_at, state.tz)),
    h('span', { class: 'session-length', title: why }, least, briefLength(session.duration_seconds)),
    h(
      'span',
      { class: 'session-events', title: why },
      least,
      formatExact(session.events),
      h('span', { class: 'muted' }, session.events === 1 ? ' event' : ' events'),
    ),
    h(
      'span',
      { class: `session-errors${errors > 0 ? ' bad' : ' muted'}` },
      errors > 0 ? `${formatExact(errors)} ${errors === 1 ? 'error' : 'errors'}` : 'no errors',
    ),
    h(
      'span',
      { class: 'session-user cut' },
      session.user_id === null
        ? h('span', { class: 'muted' }, 'no user')
        : personLink(
            'user_id',
            session.user_id,
            state,
            { class: 'over-row' },
            h('bdi', null, cutText(session.user_id)),
          ),
    ),
  );
}

/**
 * A link to the time line of a session or a user.
 *
 * @param {'session_id' | 'user_id'} field
 * @param {string} id
 * @param {import('../state.js').State} state
 * @param {import('../dom.js').Props} props
 * @param {...import('../dom.js').Child} children
 */
export function personLink(field, id, state, props, ...children) {
  const view = field === 'user_id' ? 'user' : 'session';
  const filters = [{ field, operator: /** @type {const} */ (''), values: [id] }];
  return stateLink({ ...state, view, filters, options: {} }, { title: id, ...props }, ...children);
}

/**
 * `j` and `k` move over the rows of a list; Enter opens the one in focus, as any link.
 *
 * @param {HTMLElement} list
 * @param {string} what
 */
export function peopleKeys(list, what) {
  return registerKeys([
    { key: 'j', label: `Next ${what}`, run: () => step(1) },
    { key: 'k', label: `Previous ${what}`, run: () => step(-1) },
  ]);

  /** @param {number} by */
  function step(by) {
    const links = [...list.querySelectorAll('a.row-link')];
    const at = links.findIndex((each) => each.closest('li')?.contains(document.activeElement));
    focusRow(list, at < 0 ? 0 : at + by);
  }
}

/**
 * Moves the focus to a row of a list, if it is there.
 *
 * @param {HTMLElement} list
 * @param {number} at
 */
export function focusRow(list, at) {
  const link = [...list.querySelectorAll('a.row-link')][at];
  if (link instanceof HTMLElement) {
    link.focus();
  }
}
