import { h } from './dom.js';
import { currentState, navigate, SEARCH, withoutFilter } from './state.js';

/**
 * The search for a text in events: the field in which it is typed, and the marks on what it finds.
 */

/** Bytes of the longest text that the API searches for. */
const LONGEST_TEXT = 200;

/** Characters of a text that are looked through for marks. */
const MARKED = 20_000;

/** @type {string[]} the characters that are marked, in lower case */
let sought = [];

/** The field that searches at Enter, and no sooner: a search reads events. */
export function textSearch() {
  const input = h('input', {
    type: 'search',
    class: 'filter-input',
    placeholder: 'Search text in events',
    'aria-label': 'Search text in events',
    title: 'In names, messages, users, sessions, data and stacks',
    autocomplete: 'off',
    spellcheck: 'false',
    enterkeyhint: 'search',
    // The button that empties the field sends this event, too.
    on: { search: apply, input: () => input.setCustomValidity('') },
  });
  const element = h('form', { class: 'filter-form text-search', on: { submit: apply } }, input);
  return { element, update };

  /** @param {import('./state.js').State} state */
  function update({ filters }) {
    const text = filters.find(({ field }) => field === SEARCH)?.values[0] ?? '';
    sought = lowered(text);
    if (document.activeElement !== input || input.value === '') {
      input.value = text;
    }
  }

  /** @param {Event} event */
  function apply(event) {
    event.preventDefault();
    const text = input.value.trim();
    const isLong = new TextEncoder().encode(text).length > LONGEST_TEXT;
    input.setCustomValidity(isLong ? `At most ${LONGEST_TEXT} bytes.` : '');
    if (!input.reportValidity()) {
      return;
    }
    const others = withoutFilter(currentState().filters, SEARCH, '');
    navigate({ filters: text ? [...others, { field: SEARCH, operator: '', values: [text] }] : others });
  }
}

/**
 * A text with what is searched for in it marked: text nodes and elements, so that no value becomes markup.
 *
 * @param {string} text
 * @returns {import('./dom.js').Child}
 */
export function marked(text) {
  if (sought.length === 0 || text.length > MARKED) {
    return text;
  }
  const characters = [...text];
  const lower = lowered(text);
  /** @type {import('./dom.js').Child[]} */
  const parts = [];
  let shown = 0;
  for (let at = 0; at + sought.length <= lower.length; at += 1) {
    if (sought.every((each, i) => each === lower[at + i])) {
      parts.push(characters.slice(shown, at).join(''));
      parts.push(h('mark', null, characters.slice(at, at + sought.length).join('')));
      shown = at + sought.length;
      at = shown - 1;
    }
  }
  return shown === 0 ? text : [...parts, characters.slice(shown).join('')];
}

/**
 * One lower case for each character, as the API compares them.
 *
 * @param {string} text
 */
function lowered(text) {
  return [...text].map((each) => [...each.toLowerCase()][0] ?? each);
}
