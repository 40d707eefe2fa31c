import { attributesOf } from './attributes.js';
import { fill, h } from './dom.js';
import { fieldLabel, LEVELS, parseFilter } from './filter-text.js';
import { maySeeData } from './page.js';
import { currentState, FILTER_FIELDS, navigate, withFilter } from './state.js';

/** How many suggestions stand in the list. */
const SUGGESTIONS = 200;

/**
 * The box in which somebody types a filter, with suggestions of fields and of values that the page has seen.
 *
 * @param {import('./page.js').Account} account
 * @param {(field: string) => boolean} allowed
 */
export function filterInput(account, allowed) {
  /** @type {Map<string, string[]>} */
  const known = new Map([['level', LEVELS]]);
  let asked = false;
  const list = h('datalist', { id: 'filters' });
  const input = h('input', {
    class: 'filter-input',
    list: 'filters',
    placeholder: 'Filter, such as level is ERROR',
    'aria-label': 'Filter',
    autocomplete: 'off',
    spellcheck: 'false',
    enterkeyhint: 'done',
    on: { focus: open, input: typed, blur: () => input.setCustomValidity('') },
  });
  const form = h('form', { class: 'filter-form', on: { submit: apply } }, input, list);
  return { element: form, focus: () => input.focus(), suggest };

  /**
   * @param {string} field
   * @param {(string | null)[]} values
   */
  function suggest(field, values) {
    known.set(field, /** @type {string[]} */ (values.filter((each) => each && each.length <= 80)));
  }

  /** Complete conditions first, then fields alone. */
  function suggestions() {
    const pairs = [...known]
      .filter(([field]) => allowed(field))
      .flatMap(([field, values]) => values.map((each) => `${fieldLabel(field)} is ${each}`));
    const fields = FILTER_FIELDS.filter(allowed).map((field) => `${fieldLabel(field)} is `);
    return [...pairs, ...fields].slice(0, SUGGESTIONS);
  }

  function refresh() {
    fill(
      list,
      suggestions().map((each) => h('option', { value: each })),
    );
  }

  function open() {
    refresh();
    const { app } = currentState();
    if (!asked && app && maySeeData(account)) {
      asked = true;
      // Without the list of paths one can still type them.
      attributesOf(app).then(
        (items) => {
          for (const { path, examples } of items ?? []) {
            suggest(`attr.${path}`, (examples ?? []).slice(0, 3).map(String));
          }
          refresh();
        },
        () => {},
      );
    }
  }

  /** @param {InputEvent} event */
  function typed(event) {
    input.setCustomValidity('');
    // A choice from the list is no typing.
    const chosen = !event.inputType || event.inputType === 'insertReplacementText';
    if (chosen && !input.value.endsWith(' ') && suggestions().includes(input.value)) {
      apply();
    }
  }

  /** @param {SubmitEvent} [event] */
  function apply(event) {
    event?.preventDefault();
    const filter = parseFilter(input.value);
    const problem =
      typeof filter === 'string' ? filter : allowed(filter.field) ? '' : 'This link does not allow this filter.';
    input.setCustomValidity(problem);
    if (typeof filter === 'string' || !input.reportValidity()) {
      return;
    }
    input.value = '';
    const { field, operator, values } = filter;
    navigate({
      filters: values.reduce((all, each) => withFilter(all, field, operator, each), currentState().filters),
    });
  }
}
