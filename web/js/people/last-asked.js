import { describe, notify } from '../dialog.js';
import { fill, h } from '../dom.js';

/**
 * What was asked for last. An answer to anything before is late, and is no answer any more.
 *
 * @typedef {ReturnType<typeof lastAsked>} LastAsked
 */

export function lastAsked() {
  let question = '';
  let turn = 0;
  return { isNew, begin, watch };

  /**
   * Whether a question is another one than the last, in whose place it is from then on.
   *
   * @param {string} text
   */
  function isNew(text) {
    if (text === question) {
      return false;
    }
    begin();
    question = text;
    return true;
  }

  /** Makes all answers that are still to come late, and forgets the question. */
  function begin() {
    question = '';
    turn += 1;
    return watch();
  }

  /** @returns {() => boolean} whether what was asked last by now is still the last */
  function watch() {
    const mine = turn;
    return () => mine === turn;
  }
}

/**
 * A button that reads on. An answer that is late is dropped; a failure is told, and leaves the button to try again.
 *
 * @template T
 * @param {string} text
 * @param {{
 *   asked: LastAsked, class?: string, failed: string, load: () => Promise<T>, show: (found: T, hadFocus: boolean) => void,
 * }} options `failed` says what could not be read; `hadFocus` whether the focus would be lost with the button
 */
export function readOnButton(text, { asked, class: name = '', failed, load, show }) {
  const button = h('button', { type: 'button', class: name }, text);
  button.addEventListener('click', async () => {
    const isLast = asked.watch();
    const hadFocus = document.activeElement === button || document.activeElement === document.body;
    button.disabled = true;
    try {
      const found = await load();
      if (isLast()) {
        show(found, hadFocus);
      }
    } catch (error) {
      button.disabled = false;
      if (isLast()) {
        notify(`${failed} could not be read. ${describe(error)}`);
      }
    }
  });
  return button;
}

/**
 * A button that goes on with what a panel shows, in its place. A focus that would be lost goes to the next button there.
 *
 * @template T
 * @param {import('../panel.js').Panel} panel
 * @param {{ asked: LastAsked, failed: string, load: () => Promise<T>, content: (found: T) => import('../dom.js').Child }} options
 */
export function continueButton(panel, { asked, failed, load, content }) {
  return readOnButton('Continue', {
    asked,
    failed,
    load,
    show: (found, hadFocus) => {
      fill(panel.body, content(found));
      if (hadFocus) {
        panel.body.querySelector('button')?.focus();
      }
    },
  });
}
