import { h } from './dom.js';
import { copyText } from './value.js';

/**
 * A text to take along, such as a key or a command, with a button that copies it.
 *
 * @param {string} label
 * @param {string} text
 */
export function copyBlock(label, text) {
  return h(
    'div',
    { class: 'copy-block' },
    h('pre', { tabindex: '0', role: 'group', 'aria-label': label }, text),
    h('button', { type: 'button', 'aria-label': `Copy ${label}`, on: { click: () => copyText(text) } }, 'Copy'),
  );
}
