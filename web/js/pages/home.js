import { readApps } from '../apps.js';
import { createApp } from '../create-app.js';
import { h } from '../dom.js';
import { homeRow } from '../home-row.js';
import { registerKeys } from '../keys.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { RequestQueue } from '../request-queue.js';

const EVERY_MINUTE = 60_000;
/** Requests that run at a time. */
const AT_A_TIME = 6;
/** Apps from which on a box to find one is worth its room. */
const MANY = 8;

/** @typedef {ReturnType<typeof homeRow>} HomeRow */

/**
 * All apps, a row for each. A row reads its numbers when it is on the screen.
 *
 * @param {import('../state.js').State} state
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function homePage(state, account) {
  const panel = new Panel({ what: 'Apps', class: 'home' });
  const queue = new RequestQueue(AT_A_TIME);
  const controller = new AbortController();
  const { signal } = controller;
  /** @type {Map<Element, HomeRow>} */
  const rows = new Map();
  /** @type {Set<HomeRow>} */
  const visible = new Set();
  const find = h('input', { type: 'search', placeholder: 'Find an app', 'aria-label': 'Find an app', hidden: true });
  find.addEventListener('input', filterRows);
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const row = rows.get(target);
      if (row && isIntersecting && !visible.has(row)) {
        visible.add(row);
        enqueue(row);
      } else if (row && !isIntersecting) {
        visible.delete(row);
        queue.drop(row.id);
      }
    }
  });
  const timer = setInterval(refresh, EVERY_MINUTE);
  document.addEventListener('visibilitychange', refresh);
  const unregister = registerKeys([{ key: '/', label: 'Find an app', run: () => find.focus() }]);
  panel.show(readApps, list);
  const create = isAdmin(account) && h('button', { type: 'button', on: { click: createApp } }, 'New app');
  const head = h('div', { class: 'row home-head' }, h('h1', null, 'Apps'), h('div', { class: 'spacer' }), find, create);
  return { element: h('div', { class: 'page' }, head, panel.element), update: () => {}, close };

  function close() {
    controller.abort();
    panel.close();
    observer.disconnect();
    clearInterval(timer);
    document.removeEventListener('visibilitychange', refresh);
    unregister();
  }

  /** @param {HomeRow} row */
  function enqueue(row) {
    queue.add(row.id, () => row.load(signal));
  }

  function refresh() {
    if (!document.hidden) {
      for (const row of visible) {
        enqueue(row);
      }
    }
  }

  function filterRows() {
    const text = find.value.toLowerCase();
    for (const { name, element } of rows.values()) {
      element.hidden = !name.toLowerCase().includes(text);
    }
  }

  /** @param {import('../apps.js').App[]} apps */
  function list(apps) {
    find.hidden = apps.length < MANY;
    if (apps.length === 0) {
      return h('p', { class: 'empty-rows' }, isAdmin(account) ? 'No apps yet. Create the first.' : 'No apps yet.');
    }
    const issues = apps.some(({ open_issues: open }) => typeof open === 'number');
    const columns = [
      ['', 'App'],
      ['home-line', '24 h'],
      ['home-number', 'Events'],
      ['home-number', 'Errors'],
      ...(issues ? [['home-number', 'Open issues']] : []),
      ['home-last', 'Last event'],
    ];
    rows.clear();
    for (const app of apps) {
      const row = homeRow(issues ? { ...app, open_issues: app.open_issues ?? 0 } : app, state.tz);
      rows.set(row.element, row);
      observer.observe(row.element);
    }
    return h(
      'table',
      { class: 'home-table', 'aria-label': 'Apps' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          columns.map(([name, text]) => h('th', { scope: 'col', class: name }, text)),
        ),
      ),
      h('tbody', null, [...rows.keys()]),
    );
  }
}
