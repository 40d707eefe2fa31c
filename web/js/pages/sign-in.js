import { request } from '../api.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';

/**
 * Asks to sign in: on a page of its own, or over the page where a session ended in the middle of work.
 *
 * @param {boolean} over
 * @returns {Promise<void>} resolves once somebody has signed in
 */
export function signIn(over) {
  return new Promise((resolve) => {
    const failure = h('div', { class: 'failure', role: 'alert', hidden: true });
    const form = h(
      'form',
      { class: 'sign-in', on: { submit: send } },
      h('h1', null, over ? 'Your session has ended' : 'Sign in to Tally'),
      h('label', null, 'User', h('input', { name: 'username', autocomplete: 'username', required: true })),
      h(
        'label',
        null,
        'Password',
        h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true }),
      ),
      failure,
      h('button', { type: 'submit', class: 'primary' }, 'Sign in'),
    );
    const holder = over
      ? h('dialog', { class: 'over', 'aria-label': 'Sign in' }, form)
      : h('main', { class: 'centre' }, form);
    if (holder instanceof HTMLDialogElement) {
      holder.addEventListener('cancel', (event) => event.preventDefault());
      document.body.append(holder);
      holder.showModal();
    } else {
      fill(document.body, holder);
    }

    /** @param {SubmitEvent} event */
    async function send(event) {
      event.preventDefault();
      failure.hidden = true;
      try {
        await request('POST', 'auth', { body: Object.fromEntries(new FormData(form)), quiet: true });
        holder.remove();
        resolve();
      } catch (error) {
        fill(failure, describe(error));
        failure.hidden = false;
      }
    }
  });
}
