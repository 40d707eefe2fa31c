import { h } from './dom.js';
import { inlineText } from './event-fields.js';
import { titleOf } from './event-row.js';
import { formatMillis, formatTime } from './format.js';
import { stateLink } from './link.js';
import { maySeePeople } from './page.js';
import { eventStack } from './stack.js';
import { marked } from './text-search.js';
import { leaf, tree } from './tree.js';
import { copyText, valueButton } from './value.js';

/** Milliseconds before and after an event that are "around this time". */
const AROUND = 300_000;

/** Parts with a place of their own. */
const PARTS = ['message', 'data', 'tags', 'stack', 'app', 'timestamp', 'received_at'];

/** Fields that the API filters by. */
const FILTERED = ['name', 'slug', 'category', 'level', 'session_id', 'user_id'];

/**
 * All of an event, below its row.
 *
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 */
export function eventDetail(event, state, account) {
  const { message, data, tags, stack } = event;
  const copy = h(
    'button',
    { type: 'button', on: { click: () => copyText(JSON.stringify(event, null, 2)) } },
    'Copy JSON',
  );
  const content = h(
    'div',
    { role: 'gridcell', class: 'detail-cell' },
    h('div', { class: 'detail-links' }, detailLinks(event, state, account), h('span', { class: 'spacer' }), copy),
    h(
      'div',
      { class: 'detail-main' },
      message &&
        detailPart(
          'Message',
          h(
            'p',
            { class: 'detail-message' },
            valueButton('message', message, { label: h('bdi', null, marked(message)) }),
          ),
        ),
      stack !== undefined && stack !== null && detailPart('Stack', eventStack(event)),
      hasContent(data) && detailPart('Data', typeof data === 'object' ? tree(data, 'attr') : leaf(data, null)),
      hasContent(tags) && detailPart('Tags', typeof tags === 'object' ? tree(tags, null) : leaf(tags, null)),
    ),
    eventFacts(event, state.tz),
  );
  const label = `${event.name}, ${formatTime(event.timestamp, state.tz, 'second')}`;
  return h('div', { class: 'event-detail', role: 'row', 'aria-level': '2', 'aria-label': label }, content);
}

/**
 * What an event has besides its parts.
 *
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {string} tz
 */
export function eventFacts(event, tz) {
  const fields = Object.entries(event).filter(([name, value]) => !PARTS.includes(name) && value !== null);
  return detailPart(
    'Event',
    h(
      'ul',
      { class: 'tree facts' },
      detailTimes(event, tz),
      fields.map(([name, value]) => detailLine(name, leaf(inlineText(value), FILTERED.includes(name) ? name : null))),
    ),
  );
}

/** @param {unknown} value */
export function hasContent(value) {
  return value !== undefined && value !== null && (typeof value !== 'object' || Object.keys(value).length > 0);
}

/**
 * @param {string} title
 * @param {import('./dom.js').Child} content
 */
export function detailPart(title, content) {
  return h('section', { class: 'detail-part' }, h('h2', null, title), content);
}

/**
 * @param {string} name
 * @param {import('./dom.js').Child} value
 */
function detailLine(name, value) {
  return h('li', null, h('span', { class: 'key' }, titleOf(name)), value);
}

/**
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {string} tz
 */
function detailTimes({ timestamp, received_at: received }, tz) {
  /** @param {string} time */
  const text = (time) =>
    h(
      'button',
      { type: 'button', class: 'value', title: time, dataset: { copy: time } },
      formatTime(time, tz, 'date'),
      ', ',
      formatTime(time, tz, 'second'),
      formatMillis(time),
    );
  return [detailLine('time', text(timestamp)), received ? detailLine('received', text(received)) : null];
}

/**
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 */
export function detailLinks(event, state, account) {
  /**
   * @param {string} view
   * @param {string} field
   * @param {string | undefined} value
   * @param {string} text
   */
  const same = (view, field, value, text) =>
    value && maySeePeople(account)
      ? stateLink(
          { ...state, view, filters: [{ field, operator: '', values: [value] }], options: {} },
          { class: 'button', title: value },
          text,
        )
      : null;
  const at = Date.parse(event.timestamp);
  const around = {
    ...state,
    view: 'events',
    since: new Date(at - AROUND).toISOString(),
    until: new Date(at + AROUND).toISOString(),
    filters: [],
    options: { event: event.id, ...(state.options.columns ? { columns: state.options.columns } : {}) },
  };
  return [
    same('session', 'session_id', event.session_id, 'Same session'),
    same('user', 'user_id', event.user_id, 'Same user'),
    stateLink(around, { class: 'button', title: '5 minutes before and after, without filters' }, 'Around this time'),
  ];
}
