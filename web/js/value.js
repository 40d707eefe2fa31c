import { notify } from './dialog.js';
import { h, svg } from './dom.js';
import { formatCount, formatExact } from './format.js';
import { registerKeys } from './keys.js';
import { currentState, navigate, withFilter, withoutFilter } from './state.js';

/**
 * A value of a field, anywhere on a page. A click adds it as a filter. Hover, focus and a long press show two more actions
 * beside it: exclude and copy; `x` excludes. One toolbar serves all values, in the top layer, so no list clips it and no row
 * changes its size.
 */

/** The name that stands for all names beyond the limit of an app. */
const OTHER = '(other)';

/** @type {(field: string) => boolean} */
let filterable = () => true;

/**
 * Sets which fields may be filtered: a visitor of a share link may not filter by all.
 *
 * @param {(field: string) => boolean} test
 */
export function setFilterable(test) {
  filterable = test;
}

/**
 * @param {string} field a field of an event, or `attr.PATH`
 * @param {string | number | boolean | null | undefined} value null where the event has none
 * @param {{ label?: import('./dom.js').Child, title?: string | null, class?: string }} [options] `label` is shown in place of
 *   the value
 */
export function valueButton(field, value, { label, title, class: name = '' } = {}) {
  if (value === null || value === undefined || value === '') {
    return h('span', { class: `value-text muted ${name}` }, label ?? '(none)');
  }
  const text = String(value);
  if (text === OTHER || !filterable(field)) {
    return h('span', { class: `value-text ${name}`, title: title ?? text }, label ?? text);
  }
  return h(
    'button',
    {
      type: 'button',
      class: `value ${name}`,
      title: title ?? text,
      // What is copied is what is shown.
      dataset: title ? { field, value: text, copy: title } : { field, value: text },
    },
    label ?? h('bdi', null, text),
  );
}

/**
 * A count. From 100,000 on it is short, has the exact one as its title, and a click copies that.
 *
 * @param {number} count
 */
export function numberText(count) {
  const exact = formatExact(count);
  const shown = formatCount(count);
  if (shown === exact) {
    return h('span', { class: 'number' }, shown);
  }
  return h('button', { type: 'button', class: 'value number', title: exact, dataset: { copy: String(count) } }, shown);
}

/**
 * Adds a condition to the filters of the URL, or its opposite.
 *
 * @param {string} field
 * @param {string} value
 * @param {boolean} [exclude]
 */
export function filterBy(field, value, exclude = false) {
  const operator = exclude ? 'ne' : '';
  const opposite = exclude ? '' : 'ne';
  const filters = withFilter(withoutFilter(currentState().filters, field, opposite, value), field, operator, value);
  navigate({ filters });
}

/**
 * Copies a text and says so.
 *
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS there is no clipboard; a selection can still be copied.
    const area = h('textarea', { class: 'skip', 'aria-hidden': 'true' });
    area.value = text;
    // Inside an open dialog, since nothing outside of it can be selected.
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  notify('Copied');
}

/**
 * Renders a part of the page anew and puts the focus back onto the same value, if it had it.
 *
 * @param {Element} root
 * @param {() => void} render
 */
export function keepFocus(root, render) {
  const active = document.activeElement;
  const had = active instanceof HTMLElement && root.contains(active) ? active.dataset : null;
  const { field, value } = had ?? {};
  render();
  if (field !== undefined) {
    const same = [...root.querySelectorAll('button.value')].find(
      (each) => each instanceof HTMLElement && each.dataset.field === field && each.dataset.value === value,
    );
    if (same instanceof HTMLElement) {
      same.focus({ preventScroll: true });
    }
  }
}

/** Two sheets. Drawn, since the letter for them is missing in many fonts. */
function copyIcon() {
  const sheet = { width: 7, height: 7, fill: 'none', stroke: 'currentColor' };
  return svg(
    'svg',
    { width: 12, height: 12, 'aria-hidden': 'true' },
    svg('rect', { x: 0.5, y: 0.5, ...sheet }),
    svg('rect', { x: 4.5, y: 4.5, ...sheet }),
  );
}

/** The value that the toolbar belongs to. */
/** @type {HTMLElement | null} */
let target = null;
/** Whether the click that ends a long press is still to come. */
let pressed = false;
let pressTimer = 0;
let hideTimer = 0;

const excludeButton = h('button', { type: 'button', title: 'Exclude (x)', 'aria-label': 'Exclude' }, '−');
const copyButton = h('button', { type: 'button', title: 'Copy', 'aria-label': 'Copy' }, copyIcon());
const valueActions = h('span', { class: 'value-actions', popover: 'manual' }, excludeButton, copyButton);
excludeButton.addEventListener('click', excludeTarget);
copyButton.addEventListener('click', () => copyText(target?.dataset.copy ?? target?.dataset.value ?? ''));

/** @param {EventTarget | null} from */
function valueAt(from) {
  const found = from instanceof Element ? from.closest('button.value') : null;
  return found instanceof HTMLElement ? found : null;
}

/** @param {HTMLElement} value */
function showActions(value) {
  clearTimeout(hideTimer);
  if (value === target && valueActions.isConnected) {
    return;
  }
  hideActions();
  target = value;
  excludeButton.hidden = value.dataset.field === undefined;
  value.after(valueActions);
  valueActions.showPopover();
  const box = value.getBoundingClientRect();
  const text = document.createRange();
  text.selectNodeContents(value);
  const width = valueActions.offsetWidth;
  const cut = text.getBoundingClientRect().width > box.width;
  const left = cut ? box.right - width : text.getBoundingClientRect().right + 2;
  valueActions.style.left = `${Math.max(0, Math.min(left, innerWidth - width - 4))}px`;
  valueActions.style.top = `${box.top + (box.height - valueActions.offsetHeight) / 2}px`;
}

function hideActions() {
  clearTimeout(hideTimer);
  valueActions.remove();
  target = null;
}

function hideActionsSoon() {
  clearTimeout(hideTimer);
  hideTimer = setTimeout(() => {
    if (!valueActions.contains(document.activeElement) && document.activeElement !== target) {
      hideActions();
    }
  }, 150);
}

function excludeTarget() {
  // A focus that scrolls its value into view has no toolbar.
  const { field, value } = (target ?? valueAt(document.activeElement))?.dataset ?? {};
  hideActions();
  if (field !== undefined && value !== undefined) {
    filterBy(field, value, true);
  }
}

/** @param {Event} event */
function follow(event) {
  const value = valueAt(event.target);
  if (value) {
    showActions(value);
  } else if (valueActions.contains(/** @type {Node} */ (event.target))) {
    clearTimeout(hideTimer);
  } else if (target) {
    hideActionsSoon();
  }
}

document.addEventListener('pointerover', (event) => event.pointerType === 'touch' || follow(event));
document.addEventListener('focusin', (event) => pressed || follow(event));
document.addEventListener('keydown', (event) => event.key === 'Escape' && target && hideActions());
document.addEventListener('scroll', () => target && hideActions(), { capture: true, passive: true });

document.addEventListener('pointerdown', (event) => {
  const value = valueAt(event.target);
  clearTimeout(pressTimer);
  pressed = false;
  if (event.pointerType !== 'touch') {
    return;
  }
  if (!value && target && !valueActions.contains(/** @type {Node} */ (event.target))) {
    hideActions();
  } else if (value) {
    pressTimer = setTimeout(() => {
      pressed = true;
      showActions(value);
    }, 500);
  }
});
for (const end of ['pointerup', 'pointercancel']) {
  document.addEventListener(end, () => clearTimeout(pressTimer));
}
document.addEventListener('contextmenu', (event) => {
  if (pressed && valueAt(event.target)) {
    event.preventDefault();
  }
});

// In the capture phase, since a row that holds the value may open at a click.
document.addEventListener(
  'click',
  (event) => {
    const value = valueAt(event.target);
    if (!value) {
      return;
    }
    event.stopPropagation();
    const { field, value: text, copy } = value.dataset;
    if (pressed) {
      pressed = false;
    } else if (field !== undefined && text !== undefined) {
      hideActions();
      filterBy(field, text);
    } else if (copy !== undefined) {
      copyText(copy);
    }
  },
  true,
);

registerKeys([{ key: 'x', label: 'Exclude the value in focus or under the pointer', run: excludeTarget }]);
