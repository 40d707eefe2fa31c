import { ApiError } from '../api.js';
import { h } from '../dom.js';

let fieldErrors = 0;

/**
 * Shows errors of the API at the controls that they are about. A control names its fields in `data-api`, separated by spaces; the
 * error of a part of a field, such as `filter.level.0`, is shown at the field.
 *
 * @param {HTMLElement} form
 * @param {unknown} error
 * @returns {unknown} the error with what belongs to no control
 */
export function showAtFields(form, error) {
  clearFieldErrors(form);
  if (!(error instanceof ApiError) || error.errors.length === 0) {
    return error;
  }
  const rest = error.errors.filter(({ field, detail }) => {
    const control = controlOf(form, field);
    // One at a time: the others may follow from the first.
    if (control && !control.matches('[data-invalid]')) {
      markField(control, detail);
    }
    return !control;
  });
  /** @type {HTMLElement | null} */
  const first = form.querySelector('[data-invalid]');
  // After the dialog has shown the rest.
  requestAnimationFrame(() => first?.focus());
  return new ApiError(error.status, 'Change what is marked.', rest);
}

/** @param {HTMLElement} form */
export function clearFieldErrors(form) {
  for (const each of form.querySelectorAll('.field-error')) {
    each.remove();
  }
  for (const control of form.querySelectorAll('[data-invalid]')) {
    control.removeAttribute('data-invalid');
    control.removeAttribute('aria-invalid');
    describedBy(control, '');
  }
}

/**
 * @param {HTMLElement} form
 * @param {string} field
 * @returns {HTMLElement | null}
 */
function controlOf(form, field) {
  /** @type {HTMLElement[]} */
  const controls = [...form.querySelectorAll('[data-api]')].filter((each) => each instanceof HTMLElement);
  for (let name = field; name; name = name.slice(0, Math.max(name.lastIndexOf('.'), 0))) {
    const found = controls.find(
      (each) => each.dataset.api?.split(' ').includes(name) && !each.closest('[hidden]') && !each.matches(':disabled'),
    );
    if (found) {
      return found;
    }
  }
  return null;
}

/**
 * @param {HTMLElement} control
 * @param {string} detail
 */
function markField(control, detail) {
  const id = `field-error-${fieldErrors++}`;
  control.dataset.invalid = '';
  if (control.matches('input, select, textarea')) {
    control.setAttribute('aria-invalid', 'true');
  }
  describedBy(control, id);
  (control.closest('.field') ?? control).append(h('p', { id, class: 'field-error' }, detail));
}

/**
 * Sets which error describes a control; its hint stays.
 *
 * @param {Element} control
 * @param {string} id
 */
function describedBy(control, id) {
  const before = (control.getAttribute('aria-describedby') ?? '').split(' ');
  const all = [...before.filter((each) => each && (id || !each.startsWith('field-error-'))), id].filter(Boolean);
  if (all.length > 0) {
    control.setAttribute('aria-describedby', all.join(' '));
  } else {
    control.removeAttribute('aria-describedby');
  }
}
