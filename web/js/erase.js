import { appPath, request } from './api.js';
import { describe } from './dialog.js';
import { fill, h } from './dom.js';
import { formatExact } from './format.js';
import { navigate } from './state.js';

/** Milliseconds between two calls when there is nothing to delete but to wait until every function knows. */
const PAUSE = 5000;

/**
 * Begins to erase an app, and goes on below the page until it is done.
 *
 * @param {string} app
 */
export async function eraseApp(app) {
  await continueErasing(app);
  navigate({ app: null, view: '', filters: [], options: {} });
}

/**
 * @param {string} app
 * @returns {Promise<void>} resolves with the first answer
 */
export async function continueErasing(app) {
  const first = await request('DELETE', appPath(app));
  const text = h('span');
  const note = h('div', { class: 'note', role: 'status' }, text);
  document.body.append(note);
  window.addEventListener('beforeunload', warnBeforeLeaving);
  repeat(first, 0);

  /**
   * @param {{ deleted: number, done: boolean }} progress
   * @param {number} before how many were deleted until then
   */
  async function repeat(progress, before) {
    const total = before + progress.deleted;
    if (progress.done) {
      window.removeEventListener('beforeunload', warnBeforeLeaving);
      fill(note, `${app} is erased.`);
      setTimeout(() => note.remove(), 6000);
      return;
    }
    fill(text, `Erasing ${app}: ${formatExact(total)} records deleted. Keep this page open for some minutes.`);
    if (progress.deleted === 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    try {
      repeat(await request('DELETE', appPath(app)), total);
    } catch (error) {
      fill(text, `Erasing ${app} stopped. ${describe(error)}`);
      const retry = h('button', { type: 'button', on: { click: again } }, 'Continue');
      note.append(retry);

      function again() {
        retry.remove();
        repeat({ deleted: 0, done: false }, total);
      }
    }
  }
}

/** @param {BeforeUnloadEvent} event */
function warnBeforeLeaving(event) {
  event.preventDefault();
}
