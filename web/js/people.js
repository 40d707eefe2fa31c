import { fill, h } from './dom.js';
import { filterBar } from './filter-bar.js';
import { loadSheet } from './later.js';
import { stateLink } from './link.js';
import { funnelTab } from './people/funnel.js';
import { numbersTab } from './people/numbers.js';
import { pathsTab } from './people/paths.js';
import { retentionTab } from './people/retention.js';
import { sessionsTab } from './people/sessions.js';
import { usersTab } from './people/users.js';
import { webPage } from './web/page.js';

/** The part of the page that shows what people did, and how they visit a web page. */

/** The page of visits. */
export const openWeb = webPage;

/**
 * @typedef {{
 *   element: HTMLElement,
 *   update: (state: import('./state.js').State) => void,
 *   close: () => void,
 * }} PeopleTab
 */

/** @type {{ tab: string, title: string, open: (account: import('./page.js').Account) => PeopleTab }[]} */
const PEOPLE_TABS = [
  { tab: '', title: 'Sessions', open: sessionsTab },
  { tab: 'users', title: 'Users', open: usersTab },
  { tab: 'funnel', title: 'Funnel', open: funnelTab },
  { tab: 'retention', title: 'Retention', open: retentionTab },
  { tab: 'paths', title: 'Paths', open: pathsTab },
  { tab: 'numbers', title: 'Numbers', open: numbersTab },
];

/**
 * @param {import('./state.js').State} first
 * @param {import('./page.js').Account} account
 * @returns {import('./page.js').Page}
 */
export function peoplePage(first, account) {
  let state = first;
  /** @type {PeopleTab | null} */
  let open = null;
  let shown = '';
  let styled = false;
  let closed = false;
  const bar = filterBar(account);
  const tabs = h('nav', { class: 'people-tabs', 'aria-label': 'People' });
  const content = h('div', { class: 'people-tab' });
  const element = h(
    'div',
    { class: 'page people-page' },
    h('h1', { class: 'hidden-text' }, 'People'),
    bar.element,
    tabs,
    content,
  );
  loadSheet('people.css').then(() => {
    styled = true;
    if (!closed) {
      update(state);
    }
  });
  return { element, update, close };

  /** @param {import('./state.js').State} next */
  function update(next) {
    state = next;
    bar.update(next);
    if (!styled) {
      return;
    }
    const wanted =
      PEOPLE_TABS.find(({ tab }) => tab === (next.options.tab ?? '')) ??
      /** @type {typeof PEOPLE_TABS[0]} */ (PEOPLE_TABS[0]);
    const focused = tabs.contains(document.activeElement);
    fill(
      tabs,
      PEOPLE_TABS.map((each) =>
        stateLink(
          { ...next, options: { tab: each.tab } },
          { 'aria-current': each === wanted ? 'page' : null },
          each.title,
        ),
      ),
    );
    const current = tabs.querySelector('[aria-current]');
    current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    if (focused && current instanceof HTMLElement) {
      current.focus();
    }
    document.title = `${wanted.title} · ${next.app} · Tally`;
    if (!open || wanted.title !== shown) {
      open?.close();
      open = wanted.open(account);
      shown = wanted.title;
      fill(content, open.element);
    }
    open.update(next);
  }

  function close() {
    closed = true;
    open?.close();
    bar.close();
  }
}
