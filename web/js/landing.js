import { savedViews } from './saved-views.js';
import { currentState, navigate, parseState } from './state.js';

/** Where an app opens. */

/** @param {string} app */
function viewKey(app) {
  return `view ${app}`;
}

/**
 * Keeps the view of an app that was chosen last.
 *
 * @param {string} app
 * @param {string} view
 */
export function rememberView(app, view) {
  localStorage.setItem(viewKey(app), view);
}

/**
 * The state in which an app opens: the view that was chosen last, with the range and the zone of now.
 *
 * @param {string} app
 * @returns {import('./state.js').State}
 */
export function landing(app) {
  return { ...currentState(), app, view: localStorage.getItem(viewKey(app)) ?? '', filters: [], options: {} };
}

/** Whether the server keeps saved views; until it has refused, it is asked. */
let keepsViews = true;

/**
 * Opens an app: with its default view, if one is saved, else where it was left.
 *
 * @param {string} app
 */
export async function openApp(app) {
  // Whoever waits for a slow server wants to see the app rather than its default view.
  const views = keepsViews ? await savedViews(app, AbortSignal.timeout(1000)).catch(() => []) : null;
  keepsViews = views !== null;
  const chosen = views?.find((each) => each.default && each.scope === 'me') ?? views?.find((each) => each.default);
  navigate(chosen ? { ...parseState(chosen.query), app } : landing(app));
}
