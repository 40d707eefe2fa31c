import { ApiError, onSessionEnd, request, shareKey } from './api.js';
import { describe } from './dialog.js';
import { fill, h } from './dom.js';
import { formatTime } from './format.js';
import { rememberView } from './landing.js';
import { signIn } from './pages/sign-in.js';
import { keepSession } from './session.js';
import { shell } from './shell.js';
import { announce, BROWSER_ZONE, currentState, onState, stateUrl } from './state.js';
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
  if (state.app && view.tab) {
    rememberView(state.app, view.view);
  }
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
  const reason = shareKey() ? '' : await useSignInLink();
  try {
    const who = await request('GET', 'auth', { quiet: true });
    return { kind: shareKey() ? 'key' : 'user', ...who };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401 && !shareKey()) {
      return { kind: 'user', ...(await signIn({ over: false, reason })) };
    }
    throw error;
  }
}

/**
 * Signs in by the code of a link that the server printed, and takes it out of the URL.
 *
 * @returns {Promise<string>} why it failed: a used link may still find a session, else the form says it
 */
async function useSignInLink() {
  const { sign_in: code, ...options } = currentState().options;
  if (!code) {
    return '';
  }
  history.replaceState(null, '', stateUrl({ ...currentState(), options }));
  return request('POST', 'auth', { body: { sign_in: code }, quiet: true }).then(() => '', describe);
}

/**
 * @param {import('./page.js').Account} who
 * @param {ApiError} problem
 */
async function endSession(who, problem) {
  if (who.kind === 'key') {
    showEnd(problem);
    throw problem;
  }
  const session = await signIn({ over: true });
  if (session.user !== who.user || session.role !== who.role) {
    location.reload();
  }
  keepSession(session.expires_at);
}

/**
 * Says why there is nothing to see, on a page of its own.
 *
 * @param {unknown} error
 */
function showEnd(error) {
  const ended = error instanceof ApiError && error.status === 401 && shareKey();
  const retry = h('button', { type: 'button', on: { click: () => location.reload() } }, 'Retry');
  const text = ended ? h('p', { class: 'muted' }, 'Ask whoever sent it for a new one.') : retry;
  page?.close();
  page = null;
  fill(document.body, h('main', { class: 'centre' }, h('h1', null, ended ? linkEnd(error) : describe(error)), text));
}

/**
 * @param {ApiError} problem
 */
function linkEnd({ expiredAt }) {
  return expiredAt
    ? `This link expired on ${formatTime(expiredAt, BROWSER_ZONE, 'full')}.`
    : 'This link does not work any more: it was revoked.';
}

async function start() {
  applyTheme();
  try {
    const who = await account();
    if (who.kind === 'key' && who.chart !== null) {
      throw new Error('This key gives one picture alone: use it as the address of the picture.');
    }
    if (who.kind === 'key' && !currentState().app) {
      history.replaceState(null, '', `${location.pathname}?${who.view ?? `app=${who.app}`}${location.hash}`);
    }
    onSessionEnd((problem) => endSession(who, problem));
    if (who.kind === 'user') {
      keepSession(who.expires_at);
    }
    const frame = shell(who);
    fill(document.body, frame.element);
    onState((state) => show(state, who, frame));
    window.addEventListener('popstate', announce);
    announce();
  } catch (error) {
    showEnd(error);
  }
}

// Another key in the fragment is another reader.
window.addEventListener('hashchange', () => location.reload());
start();
