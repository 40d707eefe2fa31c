import { fill, h } from '../dom.js';
import { stateLink } from '../link.js';
import { appTab } from '../settings/app.js';
import { auditTab } from '../settings/audit.js';
import { deadLettersTab } from '../settings/dead-letters.js';
import { keysTab } from '../settings/keys.js';
import { linksTab } from '../settings/links.js';
import { rejectedTab } from '../settings/rejected.js';
import { usageTab } from '../settings/usage.js';
import { viewsTab } from '../settings/views.js';

/**
 * A tab: what it shows, and what ends it.
 *
 * @typedef {{ element: HTMLElement, close?: () => void }} Tab
 */

/** @type {{ tab: string, title: string, open: (state: import('../state.js').State) => Tab }[]} */
const TABS = [
  { tab: '', title: 'App', open: appTab },
  { tab: 'keys', title: 'Keys', open: keysTab },
  { tab: 'links', title: 'Share links', open: linksTab },
  { tab: 'views', title: 'Saved views', open: viewsTab },
  { tab: 'rejected', title: 'Rejected events', open: rejectedTab },
  { tab: 'dead-letters', title: 'Dead letters', open: deadLettersTab },
  { tab: 'audit', title: 'Audit and recount', open: auditTab },
  { tab: 'usage', title: 'Usage', open: usageTab },
];

/**
 * @param {import('../state.js').State} state
 * @returns {import('../page.js').Page}
 */
export function settingsPage(state) {
  const tabs = h('nav', { class: 'side', 'aria-label': 'Settings' });
  const content = h('div', { class: 'settings-tab' });
  /** @type {Tab | null} */
  let tab = null;
  let shown = '';
  update(state);
  return {
    element: h('div', { class: 'page settings' }, h('h1', { class: 'offscreen' }, 'Settings'), tabs, content),
    update,
    close: () => tab?.close?.(),
  };

  /** @param {import('../state.js').State} next */
  function update(next) {
    const wanted = TABS.find((each) => each.tab === next.options.tab) ?? /** @type {typeof TABS[0]} */ (TABS[0]);
    if (tab && wanted.tab === shown) {
      return;
    }
    tab?.close?.();
    tab = wanted.open(next);
    shown = wanted.tab;
    fill(content, tab.element);
    fill(
      tabs,
      TABS.map((each) =>
        stateLink(
          { ...next, options: { tab: each.tab } },
          { 'aria-current': each === wanted ? 'page' : null },
          each.title,
        ),
      ),
    );
  }
}
