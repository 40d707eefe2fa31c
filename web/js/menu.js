import { h } from './dom.js';

/** @type {(() => void) | null} */
let closeOpenMenu = null;

/**
 * A button that opens a menu below it. Esc and a click elsewhere close it; the arrow keys move through its entries.
 *
 * @param {{ label: import('./dom.js').Child, title?: string, class?: string, align?: 'left' | 'right' }} options
 * @param {(close: () => void) => import('./dom.js').Child} content made each time it opens
 */
export function menuButton({ label, title, class: name = '', align = 'left' }, content) {
  const button = h(
    'button',
    { type: 'button', class: name, title, 'aria-haspopup': 'true', 'aria-expanded': 'false', on: { click: toggle } },
    label,
  );
  const holder = h('div', { class: 'menu-holder' }, button);

  function toggle() {
    if (button.getAttribute('aria-expanded') === 'true') {
      close();
      return;
    }
    closeOpenMenu?.();
    const menu = h('div', { class: `menu ${align}`, on: { keydown: move } }, content(close));
    holder.append(menu);
    button.setAttribute('aria-expanded', 'true');
    document.addEventListener('pointerdown', closeElsewhere, true);
    document.addEventListener('keydown', closeOnEscape, true);
    closeOpenMenu = close;
    const beyond = menu.getBoundingClientRect().right - innerWidth + 8;
    if (align === 'left' && beyond > 0) {
      menu.style.left = `${-beyond}px`;
    }
    /** @type {HTMLElement | null} */ (menu.querySelector('button, a, input, select'))?.focus();
  }

  function close() {
    holder.querySelector('.menu')?.remove();
    button.setAttribute('aria-expanded', 'false');
    document.removeEventListener('pointerdown', closeElsewhere, true);
    document.removeEventListener('keydown', closeOnEscape, true);
    closeOpenMenu = null;
  }

  /** @param {PointerEvent} event */
  function closeElsewhere(event) {
    if (!(event.target instanceof Node && holder.contains(event.target))) {
      close();
    }
  }

  /** @param {KeyboardEvent} event */
  function closeOnEscape(event) {
    if (event.key === 'Escape') {
      event.stopPropagation();
      close();
      button.focus();
    }
  }

  return holder;
}

/** @param {KeyboardEvent} event */
function move(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (
    !step ||
    !(event.currentTarget instanceof HTMLElement) ||
    /^(SELECT|INPUT|TEXTAREA)$/.test(/** @type {Element} */ (event.target).tagName)
  ) {
    return;
  }
  event.preventDefault();
  const entries = [...event.currentTarget.querySelectorAll('button, a, input')];
  const at = entries.indexOf(/** @type {Element} */ (document.activeElement));
  const next = entries[(at + step + entries.length) % entries.length];
  if (next instanceof HTMLElement) {
    next.focus();
  }
}
