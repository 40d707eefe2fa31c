import { ApiError, onSessionEnd, request, shareKey } from './api.js';
import { describe } from './dialog.js';
import { fill, h } from './dom.js';
import { signIn } from './pages/sign-in.js';
import { shell } from './shell.js';
import { announce, currentState, onState, stateUrl } from './state.js';
import { applyTheme } from './theme.js';
import { viewOf } from './views.js';

/** @type {import('./page.js').Page | null} */
let page = null;
let shown = '';

/**
 * Shows the page of a state: the open one takes the new state, if it is of the same app and view.
 *
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 * @param {import("./shell.js").Shell} frame
 */
function show(state, account, frame) {
  const view = viewOf(state, account);
  const key = `${state.app} ${view.view}`;
  frame.update(state, view);
  if (page && key === shown) {
    page.update(state);
    return;
  }
  page?.close();
  page = view.open(state, account);
  shown = key;
  fill(frame.main, page.element);
  document.title = state.app ? `${view.title} · ${state.app} · Tally` : 'Tally';
  window.scrollTo(0, 0);
}

/**
 * Who uses the page. Without a session, asks to sign in first.
 *
 * @returns {Promise<import('./page.js').Account>}
 */
async function account() {
  const code = currentState().options.sign_in;
  if (code) {
    const { sign_in: _, ...options } = currentState().options;
    history.replaceState(null, '', stateUrl({ ...currentState(), options }));
    // A used link falls through to a session that may still be there, and else to the form.
    await request('POST', 'auth', { body: { sign_in: code }, quiet: true }).catch(() => null);
  }
  try {
    const who = await request('GET', 'auth', { quiet: true });
    return { kind: shareKey() ? 'key' : 'user', ...who };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401 && !shareKey()) {
      await signIn(false);
      return account();
    }
    throw error;
  }
}

async function start() {
  applyTheme();
  try {
    const who = await account();
    if (who.kind === 'key' && !currentState().app) {
      history.replaceState(null, '', `${location.pathname}?${who.view ?? `app=${who.app}`}${location.hash}`);
    }
    onSessionEnd(() => signIn(true));
    const frame = shell(who);
    fill(document.body, frame.element);
    onState((state) => show(state, who, frame));
    window.addEventListener('popstate', announce);
    announce();
  } catch (error) {
    const retry = h('button', { type: 'button', on: { click: () => location.reload() } }, 'Retry');
    fill(document.body, h('main', { class: 'centre' }, h('h1', null, 'Tally'), h('p', null, describe(error)), retry));
  }
}

start();
