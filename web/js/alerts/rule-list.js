import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { openRuleForm } from './rule-form.js';
import { keepRuleFocus, ruleRow } from './rule-row.js';

/** Milliseconds between two refreshes: rules are judged each minute. */
const RULES_AGAIN = 60_000;

/**
 * The rules of an app.
 *
 * @param {import('../state.js').State} first
 * @param {import('../page.js').Account} account
 */
export function ruleList(first, account) {
  let state = first;
  /** @type {import('./rule.js').Rule[]} */
  let rules = [];
  let timer = 0;
  let lately = '';
  const mayChange = isAdmin(account);
  const panel = new Panel({ what: 'Alert rules' });
  const list = h('ul', { class: 'rules', 'aria-label': 'Alert rules' });
  const add = h(
    'button',
    { type: 'button', class: 'primary', on: { click: () => openRuleForm(state, null, () => load(true)) } },
    'New rule',
  );
  list.addEventListener('click', noteUse, true);
  panel.element.prepend(
    h(
      'div',
      { class: 'tab-head' },
      h(
        'div',
        null,
        h('h2', null, 'Alerts'),
        h('p', { class: 'muted' }, 'Rules that tell people and programs when counts or errors need attention.'),
      ),
      mayChange && h('div', { class: 'buttons' }, add),
    ),
  );
  load(false);
  return { id: '', element: panel.element, update, close };

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    show();
  }

  function close() {
    clearTimeout(timer);
    panel.close();
  }

  /** @param {MouseEvent} event */
  function noteUse({ target }) {
    const control = target instanceof Element ? target.closest('[data-key]') : null;
    lately = control instanceof HTMLElement ? (control.dataset.key ?? '') : lately;
  }

  /** @param {boolean} quiet */
  function load(quiet) {
    clearTimeout(timer);
    panel.show(
      // A refresh that fails leaves what is shown.
      (signal) =>
        get(appPath(state.app ?? '', 'alerts'), [], signal).catch(
          quiet ? () => null : (error) => Promise.reject(error),
        ),
      (found) => {
        plan();
        if (!found) {
          return undefined;
        }
        rules = found.items;
        show();
        return list.isConnected ? undefined : list;
      },
      quiet,
    );
  }

  function plan() {
    timer = setTimeout(() => {
      if (document.hidden || document.querySelector('dialog[open], .rules .menu')) {
        plan();
      } else {
        load(true);
      }
    }, RULES_AGAIN);
  }

  function show() {
    keepRuleFocus(
      list,
      () =>
        fill(
          list,
          rules.map((rule) =>
            h(
              'li',
              { class: 'rule', dataset: { state: rule.enabled ? rule.state : 'off' } },
              ruleRow(state, rule, { mayChange, linked: true, done: () => load(true) }),
            ),
          ),
          rules.length === 0 && h('li', { class: 'nothing' }, 'This app has no rules.'),
        ),
      lately,
    );
  }
}
