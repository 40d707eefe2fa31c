import { filterChips } from '../chips.js';
import { fill, h } from '../dom.js';
import { registerKeys } from '../keys.js';
import { stateLink } from '../link.js';
import { rangePicker } from '../range.js';
import { savedViewsMenu } from '../saved-views.js';
import { currentState, navigate } from '../state.js';

/** Milliseconds after the last key in which a search begins. */
const SEARCH_PAUSE = 300;

/** The states by which a list is chosen, and the words for each. */
const STATES = /** @type {const} */ ([
  ['', 'Open'],
  ['resolved', 'Resolved'],
  ['ignored', 'Ignored'],
  ['all', 'All'],
]);

/**
 * Range, states and search of the list of issues.
 *
 * @param {import('../page.js').Account} account
 */
export function issueBar(account) {
  const picker = rangePicker();
  const chips = h('div', { class: 'chip-holder' });
  const states = h('nav', { class: 'states', 'aria-label': 'State' });
  const search = h('input', {
    type: 'search',
    class: 'filter-input',
    placeholder: 'Search title, name or place',
    'aria-label': 'Search errors',
    maxlength: '200',
    spellcheck: 'false',
    autocomplete: 'off',
  });
  let timer = 0;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(apply, SEARCH_PAUSE);
  });
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      apply();
    } else if (event.key === 'Escape') {
      // The browser empties the field.
      search.blur();
    }
  });
  const unregister = registerKeys([{ key: '/', label: 'Search', run: () => search.select() }]);
  const element = h(
    'div',
    { class: 'filter-bar', role: 'search', 'aria-label': 'Range, state and search' },
    picker.element,
    states,
    h('div', { class: 'filter-form' }, search),
    chips,
    h('div', { class: 'spacer' }),
    account.kind === 'user' && savedViewsMenu(),
  );
  return { element, update, close };

  function close() {
    clearTimeout(timer);
    unregister();
  }

  function apply() {
    clearTimeout(timer);
    navigate({ options: { ...currentState().options, q: search.value.trim() } }, { replace: true });
  }

  /** @param {import('../state.js').State} state */
  function update(state) {
    const { options } = state;
    picker.update(state);
    if (document.activeElement !== search) {
      search.value = options.q ?? '';
    }
    const level = levelFilters(state);
    const passed = state.filters.length - level.length;
    fill(
      chips,
      filterChips(level, []),
      passed > 0 &&
        h('span', { class: 'muted' }, `${passed === 1 ? '1 filter does' : `${passed} filters do`} not apply here`),
    );
    fill(
      states,
      STATES.map(([value, label]) =>
        stateLink(
          { ...state, options: { ...options, state: value } },
          { class: 'state', 'aria-current': value === (options.state ?? '') ? 'true' : null },
          label,
        ),
      ),
    );
  }
}

/**
 * The filters that a list of issues knows.
 *
 * @param {import('../state.js').State} state
 */
export function levelFilters({ filters }) {
  return filters.filter(({ field, operator }) => field === 'level' && operator === '');
}
