import { ApiError, request } from '../api.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';
import { formatDuration, formatTime } from '../format.js';
import { BROWSER_ZONE } from '../state.js';

/** @typedef {{ user: string, role: 'admin' | 'reader', expires_at: string }} Session */

/** @type {Promise<Session> | null} */
let openSignIn = null;

/**
 * Asks to sign in: on a page of its own, or over the page where a session ended in the middle of work. Requests that are refused
 * while it is asked wait for the same answer.
 *
 * @param {{ over: boolean, reason?: string }} options `reason` says why it is asked
 * @returns {Promise<Session>} resolves once somebody has signed in
 */
export function signIn(options) {
  openSignIn ??= askToSignIn(options).finally(() => {
    openSignIn = null;
  });
  return openSignIn;
}

/**
 * @param {{ over: boolean, reason?: string }} options
 * @returns {Promise<Session>}
 */
function askToSignIn({ over, reason }) {
  return new Promise((resolve) => {
    const failure = h('div', { class: 'failure', role: 'alert', hidden: !reason }, reason);
    const fields = h('div', { class: 'fields' });
    const send = h('button', { type: 'submit', class: 'primary' }, 'Sign in');
    const other = h('button', { type: 'button', class: 'quiet', on: { click: change } });
    const title = over ? 'Your session has ended' : 'Sign in to Tally';
    const form = h('form', { class: 'sign-in', on: { submit } }, h('h1', null, title), fields, failure, send, other);
    const holder = over
      ? h(
          'dialog',
          { class: 'over', 'aria-label': title, on: { cancel: (event) => event.preventDefault(), close: stay } },
          form,
        )
      : h('main', { class: 'centre' }, form);
    let byToken = true;
    change();
    if (holder instanceof HTMLDialogElement) {
      document.body.append(holder);
      holder.showModal();
    } else {
      fill(document.body, holder);
    }
    fields.querySelector('input')?.focus();

    function change() {
      byToken = !byToken;
      fill(
        fields,
        byToken
          ? credential('GitHub personal access token', { name: 'token', type: 'password', autocomplete: 'off' })
          : [
              credential('User', { name: 'username', autocomplete: 'username' }),
              credential('Password', { name: 'password', type: 'password', autocomplete: 'current-password' }),
            ],
      );
      fill(other, byToken ? 'Use a password' : 'Use a GitHub token');
      fields.querySelector('input')?.focus();
    }

    // Browsers close a dialog at the second Esc, whatever its page says.
    function stay() {
      if (holder instanceof HTMLDialogElement) {
        holder.showModal();
      }
    }

    /** @param {SubmitEvent} event */
    async function submit(event) {
      event.preventDefault();
      failure.hidden = true;
      send.disabled = true;
      try {
        const session = await request('POST', 'auth', { body: Object.fromEntries(new FormData(form)), quiet: true });
        holder.remove();
        resolve(session);
      } catch (error) {
        fill(failure, signInRefusal(error));
        failure.hidden = false;
      } finally {
        send.disabled = false;
      }
    }
  });
}

/**
 * @param {string} label
 * @param {import('../dom.js').Props} props
 */
function credential(label, props) {
  return h('label', null, label, h('input', { required: true, ...props }));
}

/**
 * Why a sign-in was refused, and when the next one may succeed.
 *
 * @param {unknown} error
 */
function signInRefusal(error) {
  if (!(error instanceof ApiError && error.status === 429 && error.wait)) {
    return describe(error);
  }
  const at = formatTime(Date.now() + error.wait * 1000, BROWSER_ZONE, 'second');
  return `Too many attempts failed. Try again at ${at}, in ${formatDuration(error.wait)}.`;
}
