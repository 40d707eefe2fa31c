import { appPath, get } from '../api.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';
import { detailLinks, detailPart, eventFacts, hasContent } from '../event-detail.js';
import { timeText } from '../event-row.js';
import { formatExact } from '../format.js';
import { eventStack } from '../stack.js';
import { filterParams } from '../state.js';
import { leaf, tree } from '../tree.js';
import { copyText } from '../value.js';
import { breadcrumbList, withoutBreadcrumbs } from './breadcrumbs.js';

/** @typedef {import('../event-fields.js').TallyEvent} TallyEvent */

/** Events that are read at a time beyond those of the issue itself, and most that are kept. */
const EVENTS_READ = 50;
const MOST_EVENTS = 2000;

/**
 * The events of an issue one by one, the newest first.
 *
 * @param {string} group
 * @param {import('../page.js').Account} account
 */
export function issueEvents(group, account) {
  /** @type {TallyEvent[]} */
  let events = [];
  /** @type {import('./issue-page.js').IssueDetails | null} */
  let issue = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  let at = 0;
  /** The id of the event that is drawn, and the time zone. */
  let drawn = '';
  /** @type {string | null} null before the first page, an empty text after the last */
  let cursor = null;
  let reading = new AbortController();
  const older = h('button', { type: 'button', on: { click: () => move(1) } }, 'Older ›');
  const newer = h('button', { type: 'button', on: { click: () => move(-1) } }, '‹ Newer');
  const title = h('h2', { 'aria-live': 'polite' });
  const body = h('div', { class: 'panel-body issue-event' });
  const element = h(
    'section',
    { class: 'panel', 'aria-label': 'Event' },
    h('div', { class: 'panel-head' }, title, h('div', { class: 'spacer' }), newer, older),
    body,
  );
  return { element, update, move, close: () => reading.abort() };

  /**
   * @param {import('./issue-page.js').IssueDetails} found
   * @param {import('../state.js').State} view
   * @param {boolean} quiet a refresh: the event that somebody reads stays, though newer ones have come
   */
  function update(found, view, quiet) {
    const held = quiet ? events[at]?.id : undefined;
    issue = found;
    state = view;
    reading.abort();
    reading = new AbortController();
    events = merged(found.events, quiet ? events : []);
    cursor = quiet ? cursor : null;
    at = Math.max(0, held ? events.findIndex(({ id }) => id === held) : 0);
    draw();
  }

  /** @param {number} step */
  async function move(step) {
    const next = at + step;
    if (next < 0 || !issue) {
      return;
    }
    if (next >= events.length && !(await readMore())) {
      draw();
      return;
    }
    at = next;
    draw();
  }

  /** Reads older events; whether there are some. */
  async function readMore() {
    if (cursor === '' || events.length >= MOST_EVENTS || !issue || !state) {
      return false;
    }
    const { signal } = reading;
    const before = events.length;
    const { since, until } = issue;
    const first = /** @type {[string, string][]} */ ([
      ['since', since],
      ['until', until],
      ...filterParams([{ field: 'group', operator: '', values: [group] }]),
    ]);
    older.disabled = true;
    try {
      // A page may be empty although more follows.
      for (let pages = 0; events.length === before && cursor !== '' && pages < 12; pages += 1) {
        /** @type {[string, string][]} */
        const query = cursor ? [['cursor', cursor]] : first;
        const found = await get(appPath(state.app ?? '', 'events'), [...query, ['limit', String(EVENTS_READ)]], signal);
        events = merged(events, found.items);
        cursor = found.next ?? '';
      }
    } catch (error) {
      if (!signal.aborted) {
        fill(title, describe(error));
        older.disabled = false;
      }
      return false;
    }
    return events.length > before;
  }

  function draw() {
    const event = events[at];
    const total = issue?.count ?? 0;
    newer.disabled = at === 0;
    older.disabled = at + 1 >= events.length && (cursor === '' || at + 1 >= total);
    if (!event || !state) {
      fill(title, 'Events');
      fill(body, h('p', { class: 'nothing' }, 'No event of this error in this range.'));
      drawn = '';
      return;
    }
    fill(
      title,
      at === 0 ? 'Newest event' : `Event ${formatExact(at + 1)} of ${formatExact(Math.max(total, at + 1))}`,
      ' ',
      h('span', { class: 'muted' }, timeText(event.timestamp, state.tz)),
    );
    // What somebody opened in it stays open.
    if (drawn !== event.id + state.tz) {
      drawn = event.id + state.tz;
      fill(body, eventContent(event, state, account));
    }
  }
}

/**
 * Events of two lists, newest first, each once.
 *
 * @param {TallyEvent[]} some
 * @param {TallyEvent[]} others
 */
function merged(some, others) {
  const known = new Map([...some, ...others].map((event) => [event.id, event]));
  return [...known.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/**
 * @param {TallyEvent} event
 * @param {import('../state.js').State} state
 * @param {import('../page.js').Account} account
 */
function eventContent(event, state, account) {
  const { message, stack, tags } = event;
  const data = withoutBreadcrumbs(event.data);
  const crumbs = breadcrumbList(event.data, state.tz);
  const copy = h(
    'button',
    { type: 'button', on: { click: () => copyText(JSON.stringify(event, null, 2)) } },
    'Copy JSON',
  );
  return [
    h('div', { class: 'detail-links' }, detailLinks(event, state, account), h('span', { class: 'spacer' }), copy),
    message && detailPart('Message', h('p', { class: 'detail-message' }, leaf(message, null))),
    stack !== undefined && stack !== null && detailPart('Stack', eventStack(event, 1)),
    crumbs && detailPart('Breadcrumbs', crumbs),
    hasContent(tags) && detailPart('Tags', typeof tags === 'object' ? tree(tags, null) : leaf(tags, null)),
    hasContent(data) && detailPart('Data', typeof data === 'object' ? tree(data, null) : leaf(data, null)),
    eventFacts(event, state.tz),
  ];
}
