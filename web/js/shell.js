import { ApiError, request } from './api.js';
import { readApps } from './apps.js';
import { describe, notify } from './dialog.js';
import { fill, h, svg } from './dom.js';
import { openApp } from './landing.js';
import { plainClick, stateLink } from './link.js';
import { menuButton } from './menu.js';
import { navigate } from './state.js';
import { chooseTheme, theme } from './theme.js';
import { VIEWS } from './views.js';

/**
 * The frame of every page: the bar with the app, its views, the theme and the account; below it `main`.
 *
 * @typedef {{
 *   element: HTMLElement,
 *   main: HTMLElement,
 *   update: (state: import('./state.js').State, view: import('./page.js').View) => void,
 * }} Shell
 *
 * @param {import('./page.js').Account} account
 * @returns {Shell}
 */
export function shell(account) {
  const app = h('div', { class: 'bar-app' });
  const tabs = h('nav', { class: 'tabs', 'aria-label': 'Views' });
  const main = h('main', { id: 'main', tabindex: '-1' });
  const bar = h(
    'header',
    { class: 'bar' },
    h('a', { class: 'logo', href: './', on: { click: home } }, logo(), h('span', null, 'Tally')),
    app,
    tabs,
    h('div', { class: 'spacer' }),
    themeMenu(),
    account.kind === 'user' ? accountMenu(account) : h('span', { class: 'muted' }, account.label ?? 'Shared view'),
  );
  const skip = h('a', { class: 'skip', href: '#main' }, 'Skip to content');
  skip.addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });
  return { element: h('div', { class: 'shell' }, skip, bar, main), main, update };

  /**
   * @param {import('./state.js').State} state
   * @param {import('./page.js').View} view
   */
  function update(state, view) {
    fill(app, state.app ? (account.kind === 'user' ? appMenu(state.app) : h('strong', null, state.app)) : null);
    fill(
      tabs,
      state.app
        ? VIEWS.filter((each) => each.tab && each.allowed(account)).map((each) => tab(each, state, view))
        : null,
    );
    tabs.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  /** @param {MouseEvent} event */
  function home(event) {
    if (account.kind === 'user' && plainClick(event)) {
      event.preventDefault();
      navigate({ app: null, view: '', filters: [], options: {} });
    } else if (account.kind === 'key') {
      event.preventDefault();
    }
  }
}

/**
 * @param {import('./page.js').View} each
 * @param {import('./state.js').State} state
 * @param {import('./page.js').View} current
 */
function tab(each, state, current) {
  const target = { ...state, view: each.view, options: {} };
  return stateLink(target, { 'aria-current': each === current ? 'page' : null }, each.title);
}

/** @param {string} current */
function appMenu(current) {
  return menuButton({ label: [h('strong', null, current), ' ▾'], title: 'Choose an app', class: 'quiet' }, (close) => {
    const list = h('div', { class: 'menu-list' }, h('span', { class: 'muted' }, 'Loading'));
    readApps().then(
      (apps) => {
        const entries = apps.map(({ id, name }) =>
          h('button', { type: 'button', class: 'menu-item', on: { click: () => choose(id) } }, name),
        );
        const all = h('button', { type: 'button', class: 'menu-item', on: { click: () => choose(null) } }, 'All apps');
        fill(list, entries, all);
      },
      (error) => fill(list, h('span', { class: 'muted' }, error.message)),
    );
    /** @param {string | null} id */
    function choose(id) {
      close();
      if (id) {
        openApp(id);
      } else {
        navigate({ app: null, view: '', filters: [], options: {} });
      }
    }
    return list;
  });
}

function themeMenu() {
  return menuButton({ label: '◐', title: 'Theme', class: 'quiet icon', align: 'right' }, (close) =>
    /** @type {const} */ (['auto', 'light', 'dark']).map((each) =>
      h(
        'button',
        {
          type: 'button',
          class: 'menu-item',
          'aria-pressed': String(theme() === each),
          on: {
            click: () => {
              chooseTheme(each);
              close();
            },
          },
        },
        { auto: 'As the system', light: 'Light', dark: 'Dark' }[each],
      ),
    ),
  );
}

/** @param {import('./page.js').User} account */
function accountMenu(account) {
  return menuButton({ label: account.user, title: 'Account', class: 'quiet', align: 'right' }, () => [
    h('p', { class: 'menu-text' }, account.role === 'admin' ? 'Admin' : 'Reader'),
    h(
      'button',
      {
        type: 'button',
        class: 'menu-item',
        on: { click: signOut },
      },
      'Sign out',
    ),
  ]);
}

async function signOut() {
  try {
    await request('DELETE', 'auth', { quiet: true });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) {
      notify(`You are still signed in. ${describe(error)}`);
      return;
    }
  }
  location.reload();
}

/** The tally marks of icon.svg, in the colour of the theme. */
function logo() {
  const marks = ['M3 2.5v11M6.3 2.5v11M9.7 2.5v11M13 2.5v11', 'M1 11.5 15 4.5'];
  const props = { class: 'logo-marks', viewBox: '0 0 16 16', width: '20', height: '20', 'aria-hidden': 'true' };
  return svg(
    'svg',
    props,
    marks.map((d) => svg('path', { d })),
  );
}
