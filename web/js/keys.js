import { h } from './dom.js';

/**
 * One key of the keyboard and what it does. Without `run` it is only listed in the help: the element in focus handles it.
 *
 * @typedef {{ key: string, label: string, run?: (event: KeyboardEvent) => void }} Key
 */

/** @type {Key[][]} */
const registered = [];

/**
 * Adds keys while a page or a part of it is open. They do nothing while somebody types or a dialog is open. The latest wins.
 *
 * @param {Key[]} keys
 * @returns {() => void} takes them away
 */
export function registerKeys(keys) {
  registered.push(keys);
  return () => {
    const at = registered.indexOf(keys);
    if (at >= 0) {
      registered.splice(at, 1);
    }
  };
}

registerKeys([{ key: '?', label: 'Show these keys', run: openHelp }]);

document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) {
    return;
  }
  const found = registered
    .flat()
    .reverse()
    .find((each) => each.key === event.key && each.run);
  if (found && !document.querySelector('dialog[open]')) {
    event.preventDefault();
    found.run?.(event);
  }
});

/** @param {EventTarget | null} target */
function isTyping(target) {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !['checkbox', 'radio', 'button'].includes(target.type)) ||
    (target instanceof HTMLElement && target.isContentEditable)
  );
}

function openHelp() {
  const names = /** @type {Record<string, string>} */ ({ Escape: 'Esc', ArrowLeft: '←', ArrowRight: '→' });
  const rows = registered
    .flat()
    .map(({ key, label }) => [h('dt', null, h('kbd', null, names[key] ?? key)), h('dd', null, label)]);
  const close = h('button', { type: 'submit' }, 'Close');
  const dialog = h(
    'dialog',
    { class: 'help', 'aria-label': 'Keys', on: { close: () => dialog.remove() } },
    h('form', { method: 'dialog' }, h('h2', null, 'Keys'), h('dl', null, rows), close),
  );
  document.body.append(dialog);
  dialog.showModal();
}
