import { changeText } from '../change.js';
import { h } from '../dom.js';
import { formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { currentState } from '../state.js';
import { numberText, valueButton } from '../value.js';

/** Texts that stand for messages that are gone: no event has them. */
export const GONE = ['(expired)', '(not read)'];

/**
 * Rows with bars behind their text, largest first.
 *
 * @param {{ field: string, title: string }} list
 * @param {import('./lists.js').Row[]} rows
 * @param {string} tz
 * @param {boolean} issues whether errors have a page of their own
 */
export function countTable({ field, title }, rows, tz, issues) {
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
      rows.map((row) => countRow(field, row, max, tz, issues)),
    ),
  );
}

/**
 * @param {string} field
 * @param {import('./lists.js').Row} row
 * @param {number} max
 * @param {string} tz
 * @param {boolean} issues
 */
function countRow(field, { value, count, previous, level, seen, group }, max, tz, issues) {
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
    h(
      'th',
      { scope: 'row' },
      h(
        'div',
        { class: 'count-value' },
        mark,
        text,
        issues && group && /^(ERROR|FATAL)$/.test(level ?? '') && issueLink(group, value),
      ),
    ),
    h('td', null, numberText(count)),
    h('td', { class: 'count-change' }, changeText(count, previous)),
  );
}

/**
 * The way from a message of errors to what is known of them.
 *
 * @param {string} group
 * @param {string | null} value
 */
function issueLink(group, value) {
  const state = { ...currentState(), view: 'errors', options: { issue: group } };
  return stateLink(state, { title: 'Open this error', 'aria-label': `Open the error ${value}` }, '→');
}
