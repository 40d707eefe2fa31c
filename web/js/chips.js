import { h } from './dom.js';
import { fieldLabel, valuesText, verbOf } from './filter-text.js';
import { currentState, navigate, SEARCH, withFilter, withoutFilter } from './state.js';

/**
 * The filters of a state, each as a chip such as `level is ERROR, FATAL ✕`. Those of the key of a visitor cannot be changed.
 *
 * @param {import('./state.js').Filter[]} all
 * @param {import('./state.js').Filter[]} fixed
 */
export function filterChips(all, fixed) {
  const isFixed = new Set(fixed.map((each) => JSON.stringify(each)));
  const filters = all.filter((each) => !isFixed.has(JSON.stringify(each)));
  if (filters.length + fixed.length === 0) {
    return null;
  }
  const clear = h(
    'button',
    { type: 'button', class: 'quiet', on: { click: () => navigate({ filters: [] }) } },
    'Clear',
  );
  return [
    h('ul', { class: 'chips', 'aria-label': 'Filters' }, fixed.map(fixedChip), filters.map(chip)),
    filters.length > 1 ? clear : null,
  ];
}

/** @param {import('./state.js').Filter} filter */
function fixedChip(filter) {
  const { field, operator } = filter;
  return h(
    'li',
    { class: 'chip', title: 'This link shows nothing else' },
    h('span', { class: 'chip-field' }, fieldLabel(field)),
    h('span', null, verbOf(filter)),
    operator === 'exists' ? null : h('bdi', { class: 'chip-values' }, valuesText(filter)),
  );
}

/** @param {import('./state.js').Filter} filter */
function chip(filter) {
  const { field, operator } = filter;
  const text = valuesText(filter);
  return h(
    'li',
    { class: 'chip' },
    h('span', { class: 'chip-field' }, fieldLabel(field)),
    field !== SEARCH && (operator === '' || operator === 'ne') ? toggle(filter) : h('span', null, verbOf(filter)),
    operator === 'exists' ? null : h('bdi', { class: 'chip-values', title: text }, text),
    h(
      'button',
      {
        type: 'button',
        class: 'chip-button',
        'aria-label': `Remove ${fieldLabel(field)} ${text}`,
        on: { click: () => remove(filter) },
      },
      '✕',
    ),
  );
}

/** @param {import('./state.js').Filter} filter */
function toggle(filter) {
  const { field, operator, values } = filter;
  const opposite = operator === '' ? 'ne' : '';
  const title = `Change to “${verbOf({ field, operator: opposite })}”`;
  /** Moves all values of the condition to its opposite. */
  function click() {
    const rest = withoutFilter(currentState().filters, field, operator);
    navigate({ filters: values.reduce((all, value) => withFilter(all, field, opposite, value), rest) });
  }
  const label = `${fieldLabel(field)} ${verbOf(filter)}: ${title}`;
  return h(
    'button',
    { type: 'button', class: 'chip-button verb', title, 'aria-label': label, on: { click } },
    verbOf(filter),
  );
}

/** @param {import('./state.js').Filter} filter */
function remove({ field, operator }) {
  navigate({ filters: withoutFilter(currentState().filters, field, operator) });
}
