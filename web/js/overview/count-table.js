import { changeText } from '../change.js';
import { h } from '../dom.js';
import { formatTime } from '../format.js';
import { numberText, valueButton } from '../value.js';

/** Texts that stand for messages that are gone: no event has them. */
export const GONE = ['(expired)', '(not read)'];

/**
 * Rows with bars behind their text, largest first.
 *
 * @param {{ field: string, title: string }} list
 * @param {import('./lists.js').Row[]} rows
 * @param {string} tz
 */
export function countTable({ field, title }, rows, tz) {
  if (rows.length === 0) {
    return h('p', { class: 'empty-rows muted' }, 'None in this range.');
  }
  const max = Math.max(1, ...rows.map(({ count }) => count));
  return h(
    'table',
    { class: 'counts', 'aria-label': title },
    h('colgroup', null, h('col'), h('col', { class: 'col-count' }), h('col', { class: 'col-change' })),
    h(
      'thead',
      { class: 'hidden-text' },
      h(
        'tr',
        null,
        [title, 'Events', 'Change'].map((each) => h('th', { scope: 'col' }, each)),
      ),
    ),
    h(
      'tbody',
      null,
      rows.map((row) => countRow(field, row, max, tz)),
    ),
  );
}

/**
 * @param {string} field
 * @param {import('./lists.js').Row} row
 * @param {number} max
 * @param {string} tz
 */
function countRow(field, { value, count, previous, level, seen, group }, max, tz) {
  const gone = value !== null && GONE.includes(value);
  const text = gone
    ? h('span', { class: 'value-text muted' }, value)
    : group
      ? valueButton('group', group, { label: h('bdi', null, value), title: value })
      : valueButton(field, value);
  const mark =
    level &&
    h('i', { class: 'level-mark', title: level, style: { 'border-color': `var(--${level.toLowerCase()})` } }, level[0]);
  return h(
    'tr',
    {
      style: { '--share': `${((count / max) * 100).toFixed(2)}%` },
      title: seen ? `Last seen ${formatTime(seen, tz, 'full')}` : null,
    },
    h('th', { scope: 'row' }, h('div', { class: 'count-value' }, mark, text)),
    h('td', null, numberText(count)),
    h('td', { class: 'count-change' }, changeText(count, previous)),
  );
}
