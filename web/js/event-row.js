import { h } from './dom.js';
import { fieldValue, inlineText } from './event-fields.js';
import { fieldLabel } from './filter-text.js';
import { formatCount, formatMillis, formatTime } from './format.js';
import { marked } from './text-search.js';
import { valueButton } from './value.js';

/** Characters of a text in a row. */
const CUT = 300;

/** Widths of columns, where they differ from the usual one. */
/** @type {Record<string, string>} */
const WIDTHS = {
  after: '88px',
  name: 'minmax(96px, 160px)',
  message: 'minmax(160px, 1fr)',
  user_id: 'minmax(96px, 180px)',
  session_id: 'minmax(88px, 140px)',
  category: '96px',
  count: '72px',
  id: '240px',
  client_id: '180px',
  received_at: '168px',
};

/** The same where a page is narrow. */
/** @type {Record<string, string>} */
const NARROW_WIDTHS = { name: 'minmax(40px, 60px)', message: 'minmax(48px, 1fr)', after: '78px' };

/**
 * The widths of the columns of a list, for CSS. A list without messages has an empty column at its end.
 *
 * @param {string[]} columns
 * @param {boolean} [narrow]
 */
export function columnWidths(columns, narrow = false) {
  const widths = columns.map((field) => (narrow && NARROW_WIDTHS[field]) || (WIDTHS[field] ?? 'minmax(80px, 140px)'));
  return [narrow ? '14px' : '20px', 'var(--time)', ...widths, columns.includes('message') ? '' : 'minmax(0, 1fr)'].join(
    ' ',
  );
}

/**
 * The row of titles.
 *
 * @param {string[]} columns
 * @param {string} [time]
 */
export function headRow(columns, time = 'Time') {
  return [
    h('span', { role: 'columnheader', class: 'cell level' }, h('span', { class: 'offscreen' }, 'Level')),
    h('span', { role: 'columnheader', class: 'cell' }, time),
    columns.map((field) =>
      h('span', { role: 'columnheader', class: `cell ${cellClass(field)}`, title: field }, titleOf(field)),
    ),
  ];
}

/**
 * The title of a column or of a field in a sentence of its own.
 *
 * @param {string} field
 */
export function titleOf(field) {
  if (field === 'client_id') {
    return 'Client id';
  }
  const label = field.startsWith('attr.') ? field.slice(5) : fieldLabel(field).replaceAll('_', ' ');
  return /^(attr|tags)\./.test(field) ? label : label.charAt(0).toUpperCase() + label.slice(1);
}

/**
 * The row of an event: one line.
 *
 * @param {import('./event-fields.js').TallyEvent | undefined} event undefined while it is read again
 * @param {string[]} columns
 * @param {{ tz: string, open: boolean, after: string }} options `after` stands in the column of this name: the time since the
 *   event before
 */
export function eventRow(event, columns, { tz, open, after }) {
  const row = h('div', { class: 'event', role: 'row', tabindex: '-1', 'aria-level': '1' });
  if (!event) {
    row.append(h('span', { role: 'gridcell', class: 'cell muted' }, '…'));
    return row;
  }
  if (event.separator) {
    row.append(h('span', { role: 'gridcell', class: 'cell muted' }, event.separator));
    row.classList.add('separator');
    return row;
  }
  row.setAttribute('aria-expanded', String(open));
  row.dataset.level = event.level ?? '';
  const level = valueButton('level', event.level, { label: event.level?.charAt(0) ?? '' });
  level.setAttribute('aria-label', event.level ?? 'No level');
  if (!event.level) {
    level.setAttribute('role', 'img');
  }
  row.append(
    h('span', { role: 'gridcell', class: 'cell level' }, level),
    h('span', { role: 'gridcell', class: 'cell time' }, timeText(event.timestamp, tz)),
    ...columns.map((field) =>
      h(
        'span',
        { role: 'gridcell', class: `cell ${cellClass(field)}` },
        field === 'after' ? after : cellText(event, field, tz),
      ),
    ),
  );
  // One stop of the tab key for a row: the arrow keys move among its values.
  for (const button of row.querySelectorAll('button')) {
    button.tabIndex = -1;
  }
  return row;
}

/**
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {string} field
 * @param {string} tz
 */
function cellText(event, field, tz) {
  const value = fieldValue(event, field);
  if (field === 'message' && !value && event.data) {
    return h('bdi', { class: 'muted' }, marked(cutText(dataLine(event.data))));
  }
  if (value === undefined || value === null || value === '') {
    return '';
  }
  const text = inlineText(value);
  if (field === 'received_at') {
    return timeText(text, tz);
  }
  if (field === 'message' || typeof value === 'object' || /^(tags\.|count|fingerprint|id|client_id)/.test(field)) {
    return h('bdi', { title: text }, marked(cutText(text)));
  }
  const button = valueButton(field, text, { label: h('bdi', null, marked(cutText(text))) });
  return field === 'name' && event.count > 1
    ? [button, h('span', { class: 'muted' }, ` ×${formatCount(event.count)}`)]
    : button;
}

/**
 * The first values of `data` in a line, where an event has no message.
 *
 * @param {unknown} data
 */
function dataLine(data) {
  const entries = typeof data === 'object' && data !== null ? Object.entries(data).slice(0, 12) : [];
  return entries
    .map(([key, value]) => `${key}: ${typeof value === 'object' ? '…' : cutText(String(value))}`)
    .join(', ');
}

/** @param {string} text */
export function cutText(text) {
  return text.length > CUT ? `${text.slice(0, CUT)}…` : text;
}

/** @param {string} field */
function cellClass(field) {
  return /^(user_id|session_id)$/.test(field) ? 'people' : /^(count|after)$/.test(field) ? field : '';
}

/**
 * A time to the millisecond, with the day unless it is today.
 *
 * @param {string} time
 * @param {string} tz
 */
export function timeText(time, tz) {
  const day = formatTime(time, tz, 'monthDay');
  const clock = formatTime(time, tz, 'second');
  return h(
    'time',
    { datetime: time, title: `${formatTime(time, tz, 'full')} ${tz}` },
    day === formatTime(Date.now(), tz, 'monthDay') ? null : h('span', { class: 'muted day' }, `${day} `),
    clock.slice(0, 5),
    h('span', { class: 'seconds' }, clock.slice(5)),
    h('span', { class: 'muted millis' }, formatMillis(time)),
  );
}
