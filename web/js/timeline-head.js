import { fill, h } from './dom.js';
import { timeText } from './event-row.js';
import { LEVELS } from './filter-text.js';
import { formatCount, formatDuration } from './format.js';
import { stateLink } from './link.js';
import { withFilter, withoutFilter } from './state.js';

/** Most links to the users of a session, or the sessions of a user. */
const MOST_OTHERS = 8;

/**
 * What is known of a session or a user, from the events that were read: `others` are the users of a session, or the sessions of a
 * user; `end` and `day` are those of the last event read.
 *
 * @typedef {{
 *   count: number, first: string, last: string, end: string, day: string,
 *   levels: Map<string, number>, others: Map<string, number>,
 * }} Summary
 */

/**
 * The ids of a person: the one that stands for them all, and others that they had.
 *
 * @typedef {{ user_id: string, anonymous_ids: string[], complete: boolean }} Identity
 */

/** @param {Identity} person */
export function idsOf({ user_id: user, anonymous_ids: others }) {
  return [...new Set([user, ...others])];
}

/** @returns {Summary} */
export function emptySummary() {
  return { count: 0, first: '', last: '', end: '', day: '', levels: new Map(), others: new Map() };
}

/**
 * The title of a session or a user, when it was seen, its events by level, and links.
 *
 * @param {HTMLElement} head
 * @param {{
 *   what: string, id: string, ofUser: boolean, state: import('./state.js').State, summary: Summary, partly: string,
 *   ids: string[], idsNote: string, showIds: (() => void) | null,
 * }} options `partly` says of which events the counts are; `ids` are those of a user who has several, `showIds` shows more than some
 */
export function timelineHead(head, { what, id, ofUser, state, summary, partly, ids, idsNote, showIds }) {
  const { first, last } = summary;
  const end = Date.parse(last);
  // All of a session, whatever the range of the page.
  const whole = first ? { since: first, until: end ? new Date(end + 1).toISOString() : '' } : {};
  const events = { ...state, view: 'events', options: {}, ...(ofUser ? {} : whole) };
  const levels = [...LEVELS, ''].filter((level) => summary.levels.has(level));
  fill(
    head,
    h('h1', null, h('span', { class: 'muted' }, `${what} `), h('bdi', { title: id }, id)),
    h(
      'dl',
      null,
      fact(ofUser ? 'First in this range' : 'First seen', first && timeText(first, state.tz)),
      fact(ofUser ? 'Last in this range' : 'Last seen', last && timeText(last, state.tz)),
      fact('Duration', first && formatDuration((end - Date.parse(first)) / 1000)),
      fact(
        `Events${partly}`,
        levels.map((level) => levelLink(level, summary.levels.get(level) ?? 0, events)),
      ),
      fact(ofUser ? 'Sessions' : 'Users', otherLinks(summary, ofUser, state)),
      fact('Ids', idLinks(ids, state, showIds)),
    ),
    stateLink(events, { class: 'button' }, 'Show in events'),
    idsNote && h('p', { class: 'timeline-note muted' }, idsNote),
  );
}

/**
 * @param {string} level
 * @param {number} count
 * @param {import('./state.js').State} events
 */
function levelLink(level, count, events) {
  const text = `${formatCount(count)} ${level || 'without level'}`;
  if (!level) {
    return h('span', null, text);
  }
  const filters = withFilter(withoutFilter(events.filters, 'level', ''), 'level', '', level);
  const link = stateLink({ ...events, filters }, { class: 'level-count' }, text);
  link.dataset.level = level;
  return link;
}

/**
 * @param {Summary} summary
 * @param {boolean} ofUser
 * @param {import('./state.js').State} state
 */
function otherLinks({ others }, ofUser, state) {
  const [view, field] = ofUser ? ['session', 'session_id'] : ['user', 'user_id'];
  const ids = [...others.keys()];
  const shown = ids.slice(0, MOST_OTHERS).map((id) => {
    const filters = [{ field, operator: /** @type {const} */ (''), values: [id] }];
    return stateLink({ ...state, view, filters, options: {} }, { class: 'cut', title: id }, id);
  });
  const left = ids.length - shown.length;
  return shown.length > 0 && [shown, left > 0 && h('span', { class: 'muted' }, `and ${formatCount(left)} more`)];
}

/**
 * Links to the events of each id.
 *
 * @param {string[]} ids
 * @param {import('./state.js').State} state
 * @param {(() => void) | null} showAll
 */
function idLinks(ids, state, showAll) {
  const shown = ids.slice(0, showAll ? MOST_OTHERS : ids.length);
  const links = shown.map((id) => {
    const filters = [{ field: 'user_id', operator: /** @type {const} */ (''), values: [id] }];
    const title = `Events of ${id} alone`;
    return stateLink({ ...state, view: 'events', filters, options: {} }, { class: 'cut', title }, h('bdi', null, id));
  });
  const left = ids.length - shown.length;
  return showAll && left > 0
    ? [
        ...links,
        h('button', { type: 'button', class: 'quiet', on: { click: showAll } }, `and ${formatCount(left)} more`),
      ]
    : links;
}

/**
 * @param {string} name
 * @param {import('./dom.js').Child} value nothing where it is empty
 */
function fact(name, value) {
  const empty = !value || (Array.isArray(value) && value.length === 0);
  return empty ? null : h('div', null, h('dt', null, name), h('dd', null, value));
}
