import { fill, h } from '../dom.js';
import { cutText } from '../event-row.js';
import { lastAsked } from './last-asked.js';
import { frequentNames } from './parts.js';

let pickers = 0;

/**
 * The most frequent names as buttons, and a field for any other.
 *
 * @param {string} label
 * @param {(name: string) => void} pick
 */
export function namePicker(label, pick) {
  const buttons = h('div', { class: 'name-buttons' });
  const id = `names-${pickers++}`;
  const field = h('input', {
    type: 'text',
    'aria-label': `${label}: another name`,
    placeholder: 'Another name',
    maxlength: '256',
    spellcheck: 'false',
    autocomplete: 'off',
    required: true,
  });
  const form = h('form', { class: 'row' }, field, h('button', { type: 'submit' }, 'Add'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (name) {
      field.value = '';
      pick(name);
    }
  });
  const element = h(
    'div',
    { class: 'name-picker', role: 'group', 'aria-labelledby': id },
    h('span', { class: 'muted', id }, label),
    buttons,
    form,
  );
  const updates = lastAsked();
  return { element, update };

  /** @param {import('../state.js').State} state */
  async function update(state) {
    const isLast = updates.begin();
    const names = await frequentNames(state);
    if (!isLast()) {
      return;
    }
    const known = [...buttons.children].map((each) => each.getAttribute('data-name'));
    if (JSON.stringify(known) !== JSON.stringify(names)) {
      fill(
        buttons,
        names.map((name) =>
          h(
            'button',
            { type: 'button', dataset: { name }, title: name, on: { click: () => pick(name) } },
            h('bdi', { class: 'cut' }, cutText(name)),
          ),
        ),
      );
    }
  }
}

/**
 * A choice of one of the most frequent names, or of any event.
 *
 * @param {string} label
 * @param {string} option
 * @param {(name: string) => void} pick
 */
export function nameChoice(label, option, pick) {
  const select = h('select', { dataset: { focus: option } });
  select.addEventListener('change', () => pick(select.value));
  const updates = lastAsked();
  return {
    element: h('label', { class: 'people-choice name-choice' }, h('span', { class: 'muted' }, label), select),
    update,
  };

  /**
   * @param {import('../state.js').State} state
   * @param {string} chosen
   */
  async function update(state, chosen) {
    show(chosen, [...select.options].map(({ value }) => value).filter(Boolean));
    const isLast = updates.begin();
    const names = await frequentNames(state);
    if (isLast()) {
      show(chosen, names);
    }
  }

  /**
   * @param {string} chosen
   * @param {string[]} names
   */
  function show(chosen, names) {
    const all = ['', ...new Set(chosen ? [...names, chosen] : names)];
    const known = [...select.options].map(({ value }) => value);
    if (JSON.stringify(known) !== JSON.stringify(all)) {
      fill(
        select,
        all.map((value) => h('option', { value }, value || 'any event')),
      );
    }
    select.value = chosen;
  }
}
