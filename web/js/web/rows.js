import { changeText } from '../change.js';
import { h, svg } from '../dom.js';
import { cutText } from '../event-row.js';
import { currentState, navigate, withFilter } from '../state.js';
import { numberText, valueButton } from '../value.js';
import { addGoal, goalOf, goalsOf, isSameGoal, MOST_GOALS, removeGoal } from './goal-state.js';

/**
 * A row of a table about visits.
 *
 * @typedef {{
 *   value: string | number | boolean | null, count: number, people?: number, previous?: number | null, cells?: string[],
 * }} WebRow `people` are the visitors of `count`; `cells` are further columns
 * @typedef {{
 *   field: string, title: string, head: string, heads: string[], none: string, names: (value: string) => string | null, mayFilter: boolean,
 * }} RowsOf `head` names the column of values, `heads` those after it; `names` says what a value is called
 */

/** @type {Map<string, Intl.DisplayNames>} */
const displays = new Map();

/**
 * The name of a country or language in the reader's language; null where the code is none.
 *
 * @param {'region' | 'language'} type
 * @param {string} code
 */
export function displayName(type, code) {
  try {
    const display = displays.get(type) ?? new Intl.DisplayNames(undefined, { type, fallback: 'none' });
    displays.set(type, display);
    return display.of(code) ?? null;
  } catch {
    return null;
  }
}

/**
 * Rows with bars behind their text, largest first.
 *
 * @param {RowsOf} of
 * @param {WebRow[]} rows
 * @param {boolean} compare whether there is a column for the change
 */
export function webRows(of, rows, compare) {
  if (rows.length === 0) {
    return h('p', { class: 'empty-rows muted' }, 'None in this range.');
  }
  const max = Math.max(1, ...rows.map(({ count }) => count));
  const isGoal = of.field === 'name' || of.field === 'attr.path';
  const goals = isGoal ? goalsOf(currentState()) : [];
  return h(
    'table',
    { class: 'counts web-counts', 'aria-label': of.title },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        h('th', { scope: 'col' }, of.head),
        of.heads.map((each) => h('th', { scope: 'col', class: 'web-number' }, each)),
        compare && h('th', { scope: 'col', class: 'web-was' }, 'Change'),
        isGoal && h('th', { scope: 'col', class: 'web-goal' }, h('span', { class: 'hidden-text' }, 'Goal')),
      ),
    ),
    h(
      'tbody',
      null,
      rows.map((row) =>
        h(
          'tr',
          { style: { '--share': `${((row.count / max) * 100).toFixed(2)}%` } },
          h('th', { scope: 'row' }, h('div', { class: 'count-value' }, rowValue(of, row.value))),
          row.people !== undefined && h('td', null, numberText(row.people)),
          h('td', null, numberText(row.count)),
          (row.cells ?? []).map((each) => h('td', null, each)),
          compare && h('td', { class: 'count-change web-was' }, changeText(row.count, row.previous)),
          isGoal && h('td', { class: 'web-goal' }, goalButton(of.field, row.value, goals)),
        ),
      ),
    ),
  );
}

/**
 * What a row is about: a click filters by it, also where it is that nothing is there.
 *
 * @param {RowsOf} of
 * @param {WebRow['value']} value
 */
function rowValue({ field, none, names, mayFilter }, value) {
  if (value === null) {
    const filter = () => navigate({ filters: withFilter(currentState().filters, field, 'exists', 'false') });
    // The path of a key that ends in brackets is named otherwise; none of these is one.
    return mayFilter && field.startsWith('attr.')
      ? h('button', { type: 'button', class: 'quiet web-none muted', on: { click: filter } }, none)
      : h('span', { class: 'value-text muted' }, none);
  }
  const text = String(value);
  const name = names(text);
  const shown = h('bdi', null, name ?? cutText(text));
  return valueButton(field, value, {
    label: name === null ? shown : [shown, h('span', { class: 'muted' }, ` ${text}`)],
  });
}

/**
 * Makes what a row is about a goal, or takes it from the goals.
 *
 * @param {string} field
 * @param {WebRow['value']} value
 * @param {import('./goal-state.js').Goal[]} goals
 */
function goalButton(field, value, goals) {
  const goal = value === null || value === '(other)' ? null : goalOf(field, String(value));
  if (!goal) {
    return null;
  }
  const is = goals.some((each) => isSameGoal(each, goal));
  return h(
    'button',
    {
      type: 'button',
      class: 'quiet icon web-mark',
      'aria-pressed': String(is),
      'aria-label': `Goal: ${cutText(goal.value)}`,
      title: is ? 'No goal any more' : goals.length < MOST_GOALS ? 'Make it a goal' : `There are ${MOST_GOALS} goals`,
      disabled: !is && goals.length >= MOST_GOALS,
      dataset: { focus: `goal ${field} ${goal.value}` },
      on: { click: () => (is ? removeGoal(goal) : addGoal(goal)) },
    },
    flagIcon(),
  );
}

/** A flag. Drawn, since fonts lack it. */
function flagIcon() {
  const line = { fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5, 'stroke-linejoin': 'round' };
  return svg(
    'svg',
    { width: 16, height: 16, 'aria-hidden': 'true' },
    svg('path', { ...line, d: 'M3.5 1.5v13' }),
    svg('path', { ...line, class: 'web-flag', d: 'M3.5 2.5h9l-2.5 3 2.5 3h-9z' }),
  );
}
