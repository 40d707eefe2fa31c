import { fill, h } from './dom.js';
import { alertsPart, peoplePart } from './later.js';
import { isAdmin, maySeeEvents, maySeeIssues, maySeePeople } from './page.js';
import { eventsPage } from './pages/events.js';
import { homePage } from './pages/home.js';
import { overviewPage } from './pages/overview.js';
import { sessionPage } from './pages/session.js';
import { userPage } from './pages/user.js';
import { Panel } from './panel.js';

/** @typedef {import('./page.js').View} View */

/** The page without an app. */
export const HOME = /** @type {View} */ ({
  view: 'home',
  title: 'Apps',
  tab: false,
  allowed: (account) => account.kind === 'user',
  open: homePage,
});

/**
 * The views of an app, in the order of their tabs. The first is where an app opens.
 *
 * @type {View[]}
 */
export const VIEWS = [
  { view: 'overview', title: 'Overview', tab: true, allowed: () => true, open: overviewPage },
  { view: 'events', title: 'Events', tab: true, allowed: maySeeEvents, open: eventsPage },
  {
    view: 'errors',
    title: 'Errors',
    tab: true,
    allowed: maySeeIssues,
    open: laterPage('Errors', async () => (await import('./errors.js')).errorsPage),
  },
  {
    view: 'alerts',
    title: 'Alerts',
    tab: true,
    allowed: (account) => account.kind === 'user',
    open: laterPage('Alerts', async () => (await alertsPart()).alertsPage),
  },
  {
    view: 'people',
    title: 'People',
    tab: true,
    allowed: () => true,
    open: laterPage('People', async () => (await peoplePart()).peoplePage),
  },
  {
    view: 'web',
    title: 'Web',
    tab: true,
    allowed: () => true,
    open: laterPage('Web', async () => (await peoplePart()).openWeb),
  },
  { view: 'session', title: 'Session', tab: false, allowed: maySeePeople, open: sessionPage },
  { view: 'user', title: 'User', tab: false, allowed: maySeePeople, open: userPage },
  {
    view: 'settings',
    title: 'Settings',
    tab: true,
    allowed: isAdmin,
    open: laterPage('Settings', async () => (await import('./settings.js')).openSettings),
  },
];

/**
 * A page whose code is loaded when it opens: the first view needs none of it.
 *
 * @param {string} what names it where it cannot be loaded
 * @param {() => Promise<View['open']>} load
 * @returns {View['open']}
 */
function laterPage(what, load) {
  return (first, account) => {
    let state = first;
    /** @type {import('./page.js').Page | null} */
    let page = null;
    const panel = new Panel({ what });
    // Its own size is the same before and after, so that nothing of it moves.
    const element = h('div', null, h('div', { class: 'page' }, panel.element));
    const failed = () => {
      throw new Error('Load the page again: the server may have another version of it now.');
    };
    panel.show(
      () => load().catch(failed),
      (open) => {
        page = open(state, account);
        fill(element, page.element);
        return undefined;
      },
    );
    return {
      element,
      update: (next) => {
        state = next;
        page?.update(next);
      },
      close: () => {
        panel.close();
        page?.close();
      },
    };
  };
}

/**
 * The view of a state.
 *
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 * @returns {View}
 */
export function viewOf(state, account) {
  if (!state.app) {
    return HOME;
  }
  const wanted = VIEWS.find(({ view }) => view === state.view);
  const first = /** @type {import('./page.js').View} */ (VIEWS[0]);
  return wanted?.allowed(account) ? wanted : first;
}
