import { ApiError } from './api.js';
import { fill, h } from './dom.js';

/**
 * Opens a modal dialog with a form. It stays open, with what was typed, until `submit` resolves; a problem is shown inside it.
 *
 * @param {{ title: string, action: string, danger?: boolean }} options `action` is the text of the button: a verb
 * @param {import('./dom.js').Child} content the fields
 * @param {(data: FormData) => Promise<void>} submit
 * @returns {HTMLDialogElement}
 */
export function openDialog({ title, action, danger = false }, content, submit) {
  const failure = h('div', { class: 'failure', role: 'alert', hidden: true });
  const confirm = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action);
  const cancel = h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel');
  const form = h(
    'form',
    { on: { submit: send } },
    h('h2', null, title),
    content,
    failure,
    h('div', { class: 'dialog-actions' }, cancel, confirm),
  );
  const dialog = h('dialog', { 'aria-label': title, on: { close: () => dialog.remove() } }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    confirm.disabled = true;
    failure.hidden = true;
    try {
      await submit(new FormData(form));
      dialog.close();
    } catch (error) {
      fill(failure, describe(error));
      failure.hidden = false;
    } finally {
      confirm.disabled = false;
    }
  }
}

/**
 * An error in words, with the fields that it names.
 *
 * @param {unknown} error
 */
export function describe(error) {
  if (error instanceof ApiError && error.errors.length > 0) {
    return error.errors.map(({ field, detail }) => `${field}: ${detail}`).join(' ');
  }
  return error instanceof Error ? error.message : String(error);
}

/**
 * Says something for a few seconds at the lower edge, with a button if there is something to undo.
 *
 * @param {string} text
 * @param {{ action: string, run: () => void, seconds?: number }} [button]
 */
export function notify(text, button) {
  const note = h('div', { class: 'note', role: 'status' }, text);
  const timer = setTimeout(() => note.remove(), (button?.seconds ?? 4) * 1000);
  if (button) {
    const undo = () => {
      clearTimeout(timer);
      note.remove();
      button.run();
    };
    note.append(h('button', { type: 'button', on: { click: undo } }, button.action));
  }
  document.body.append(note);
}
