import { h } from './dom.js';

let hints = 0;

/**
 * A control below its label, with a hint that belongs to it.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
export function field(label, control, hint) {
  const id = hint ? `hint-${hints++}` : null;
  if (id) {
    control.setAttribute('aria-describedby', id);
  }
  return h(
    'div',
    { class: 'field' },
    h('label', null, label, control),
    hint ? h('p', { id, class: 'hint' }, hint) : null,
  );
}

/**
 * @param {string} name
 * @param {import('./dom.js').Props} [props]
 * @param {string | number | null} [value]
 */
export function input(name, props, value) {
  const control = h('input', { name, ...props });
  control.value = String(value ?? '');
  return control;
}

/**
 * A text of several lines.
 *
 * @param {string} name
 * @param {import('./dom.js').Props} props
 * @param {readonly string[] | null} [lines]
 */
export function lineInput(name, props, lines) {
  const control = h('textarea', { name, rows: '3', spellcheck: 'false', ...props });
  control.value = (lines ?? []).join('\n');
  return control;
}

/**
 * The lines of a text, without empty ones; null without any.
 *
 * @param {FormDataEntryValue | null} text
 * @returns {string[] | null}
 */
export function linesOf(text) {
  const lines = String(text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.length > 0 ? lines : null;
}

/**
 * A number that was typed; null for none.
 *
 * @param {FormDataEntryValue | null} text
 */
export function numberOf(text) {
  return text === null || text === '' ? null : Number(text);
}

/**
 * @param {string} name
 * @param {string} label
 * @param {import('./dom.js').Props} [props]
 */
export function checkbox(name, label, props) {
  return h('label', { class: 'choice' }, h('input', { type: 'checkbox', name, ...props }), label);
}

/**
 * One of several; the first is chosen.
 *
 * @param {string} name
 * @param {string} legend
 * @param {[value: string, label: string][]} choices
 */
export function radios(name, legend, choices) {
  return h(
    'fieldset',
    null,
    h('legend', null, legend),
    choices.map(([value, label], index) =>
      h('label', { class: 'choice' }, h('input', { type: 'radio', name, value, checked: index === 0 }), label),
    ),
  );
}

/**
 * @param {string} name
 * @param {[value: string, label: string][]} choices
 * @param {string} [chosen]
 */
export function choice(name, choices, chosen) {
  const control = h(
    'select',
    { name },
    choices.map(([value, label]) => h('option', { value }, label)),
  );
  control.value = chosen ?? choices[0]?.[0] ?? '';
  return control;
}
