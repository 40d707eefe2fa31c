import { ruleList } from './alerts/rule-list.js';
import { rulePage } from './alerts/rule-page.js';
import { askWhere } from './alerts/where-form.js';
import { fill, h } from './dom.js';
import { loadSheet } from './later.js';

/** The part of the page that shows alert rules: a list, one rule with its history, and the forms. */

/** What the page of errors asks: where new errors go. */
export const openWhereForm = askWhere;

/**
 * @param {import('./state.js').State} first
 * @param {import('./page.js').Account} account
 * @returns {import('./page.js').Page}
 */
export function alertsPage(first, account) {
  let state = first;
  /** @type {{ id: string, element: HTMLElement, update: (state: import('./state.js').State) => void, close: () => void } | null} */
  let shown = null;
  let closed = false;
  let styled = false;
  const element = h('div', { class: 'page alerts-page' });
  loadSheet('alerts.css').then(() => {
    styled = true;
    if (!closed) {
      show();
    }
  });
  return { element, update, close };

  /** @param {import('./state.js').State} next */
  function update(next) {
    state = next;
    if (styled) {
      show();
    }
  }

  function show() {
    const id = state.options.rule ?? '';
    if (shown?.id !== id) {
      shown?.close();
      shown = id ? rulePage(id, state, account) : ruleList(state, account);
      fill(element, h('h1', { class: 'offscreen' }, 'Alerts'), shown.element);
      document.title = `Alerts · ${state.app} · Tally`;
      scrollTo(0, 0);
    } else {
      shown.update(state);
    }
  }

  function close() {
    closed = true;
    shown?.close();
  }
}
