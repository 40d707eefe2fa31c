import { filterChips } from './chips.js';
import { fill, h } from './dom.js';
import { filterInput } from './filter-input.js';
import { registerKeys } from './keys.js';
import { keyFilters, mayFilter } from './page.js';
import { rangePicker } from './range.js';
import { savedViewsMenu } from './saved-views.js';
import { shareButton } from './share.js';
import { navigate, SEARCH } from './state.js';
import { textSearch } from './text-search.js';
import { setFilterable } from './value.js';

/**
 * The row on top of each page of an app: range, comparison, filters as chips, saved views, and the page's own buttons. It reads
 * and changes the state of the URL alone, so a page only passes its states on.
 *
 * @typedef {{
 *   element: HTMLElement,
 *   update: (state: import('./state.js').State) => void,
 *   suggest: (field: string, values: (string | null)[]) => void,
 *   close: () => void,
 * }} FilterBar `suggest` offers values of a field where filters are typed
 *
 * @param {import('./page.js').Account} account
 * @param {{ compare?: boolean, range?: boolean, buttons?: import('./dom.js').Child }} [options] `compare` shows the toggle of
 *   the comparison; `range: false` leaves the range picker out
 * @returns {FilterBar}
 */
export function filterBar(account, { compare = false, range = true, buttons = null } = {}) {
  /** @param {string} field */
  const allowed = (field) => mayFilter(account, field);
  setFilterable(allowed);
  const picker = rangePicker();
  const input = filterInput(account, allowed);
  const search = textSearch();
  const chips = h('div', { class: 'chip-holder' });
  const comparison = h('button', { type: 'button', title: 'Compare with the period before' }, 'Compare');
  comparison.addEventListener('click', () => navigate({ compare: comparison.getAttribute('aria-pressed') !== 'true' }));
  const element = h(
    'div',
    { class: 'filter-bar', role: 'search', 'aria-label': 'Range and filters' },
    range && picker.element,
    compare && comparison,
    input.element,
    allowed(SEARCH) && search.element,
    chips,
    h('div', { class: 'spacer' }),
    buttons,
    shareButton(account),
    account.kind === 'user' && savedViewsMenu(),
  );
  const unregister = registerKeys([{ key: '/', label: 'Write a filter', run: input.focus }]);
  return { element, update, suggest: input.suggest, close: unregister };

  /** @param {import('./state.js').State} state */
  function update(state) {
    picker.update(state);
    search.update(state);
    comparison.setAttribute('aria-pressed', String(state.compare));
    fill(chips, filterChips(state.filters, keyFilters(account)));
  }
}
