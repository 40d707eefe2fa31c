import { ApiError } from './api.js';
import { fill, h } from './dom.js';

/**
 * Opens a modal dialog with a form. It stays open, with what was typed, until `submit` resolves; a problem is shown inside it.
 * What `submit` resolves to, such as a key that is shown once, takes the place of the fields until the reader is done.
 *
 * @param {{ title: string, action: string, danger?: boolean, closed?: () => void }} options `action` is the text of the
 *   button: a verb
 * @param {import('./dom.js').Child} content the fields
 * @param {(data: FormData) => Promise<import('./dom.js').Child | void>} submit
 * @returns {HTMLDialogElement}
 */
export function openDialog({ title, action, danger = false, closed }, content, submit) {
  const failure = h('div', { class: 'failure', role: 'alert', hidden: true });
  const confirm = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action);
  const cancel = h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel');
  const fields = h('div', { class: 'fields' }, content);
  const form = h(
    'form',
    { on: { submit: send } },
    h('h2', null, title),
    fields,
    failure,
    h('div', { class: 'dialog-actions' }, cancel, confirm),
  );
  let done = false;
  const dialog = h('dialog', { 'aria-label': title, on: { close: remove } }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;

  function remove() {
    dialog.remove();
    closed?.();
  }

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (done) {
      dialog.close();
      return;
    }
    confirm.disabled = true;
    failure.hidden = true;
    try {
      const result = await submit(new FormData(form));
      if (!result) {
        dialog.close();
        return;
      }
      done = true;
      reopen();
      cancel.remove();
      fill(fields, result);
      fill(confirm, 'Done');
      confirm.className = 'primary';
      (fields.querySelector('button') ?? confirm).focus();
    } catch (error) {
      reopen();
      fill(failure, describe(error));
      failure.hidden = false;
      failure.scrollIntoView({ block: 'nearest' });
    } finally {
      confirm.disabled = false;
    }
  }

  /** Shows the dialog again if it was closed while the answer was on its way: a key is shown only now. */
  function reopen() {
    if (!dialog.isConnected) {
      document.body.append(dialog);
      dialog.showModal();
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
    return error.errors.map(({ field, detail }) => `${field}: ${detail}`).join('; ');
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
  // In the top layer, so that an open dialog does not cover it.
  const note = h('div', { class: 'note', role: 'status', popover: 'manual' }, text);
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
  note.showPopover();
}
