import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { formatExact } from '../format.js';
import { registerKeys } from '../keys.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { isRunning } from '../range.js';
import { filterParams, navigate, rangeParams } from '../state.js';
import { issueBar, levelFilters } from './issue-bar.js';
import { issueFoot } from './issue-foot.js';
import { issueRows } from './issue-rows.js';
import { issueSelection } from './issue-selection.js';
import { choiceOf, judge, undoLast, verdictMenu } from './verdict.js';
import { whereNote } from './where-note.js';

/** Issues of a page of the API. */
const ISSUES_A_PAGE = 50;

/** Milliseconds between two refreshes. */
const AGAIN = 60_000;

/** What a list can be ordered by: the value in the URL, and the words. */
const ORDERS = /** @type {const} */ ([
  ['count', 'Events'],
  ['', 'Last seen'],
  ['first_seen', 'First seen'],
]);

/**
 * The list of issues.
 *
 * @typedef {import('./issue.js').Issue} Issue
 *
 * @param {import('../page.js').Account} account
 */
export function issueList(account) {
  const mayChange = isAdmin(account);
  /** @type {import('../state.js').State | null} */
  let state = null;
  let asked = '';
  /** @type {Issue[]} all that were read; what a change took out of the chosen state stays, for it may come back */
  let issues = [];
  /** @type {any} */
  let reply = null;
  let pages = 0;
  let timer = 0;
  let frame = 0;
  /** How often issues were changed: what was asked for before a change is no answer any more. */
  let changes = 0;
  const selection = issueSelection(shown, showSelection);
  const rows = issueRows({ select: mayChange ? selection.press : null, decide });
  const bar = issueBar(account);
  const where = whereNote(account);
  const panel = new Panel({ what: 'Errors', class: 'issue-panel' });
  const all = h('input', {
    type: 'checkbox',
    'aria-label': 'Select all of this page',
    title: 'Select all of this page',
  });
  all.addEventListener('change', () => selection.only(all.checked ? shown() : []));
  const count = h('span', { class: 'muted', role: 'status' });
  const bulk = h(
    'div',
    { class: 'row issue-bulk' },
    count,
    verdictMenu(selection.chosen, decide, { of: 'the selected errors', align: 'left' }),
  );
  const orders = h('div', { class: 'issue-orders', role: 'group', 'aria-label': 'Order' });
  const head = h(
    'div',
    { class: 'issue-head' },
    mayChange && h('label', { class: 'issue-box' }, all),
    mayChange && bulk,
    orders,
    h('span', { class: 'issue-release' }, 'Release'),
  );
  const foot = h('div', { class: 'event-foot issue-foot' });
  const element = h('div', { class: 'issue-view' }, bar.element, panel.element);
  let unregister = () => {};
  return { element, update, close, hide };

  /**
   * Shows the list of a state.
   *
   * @param {import('../state.js').State} next
   */
  function update(next) {
    state = next;
    unregister();
    unregister = registerKeys(keys());
    bar.update(next);
    const { q, sort, state: wanted = '' } = next.options;
    /** @type {[string, string][]} */
    const query = [...rangeParams(next), ...filterParams(levelFilters(next)), ['limit', String(ISSUES_A_PAGE)]];
    for (const [name, value] of [
      ['state', wanted === 'all' ? '' : wanted || 'open'],
      ['q', q],
      ['sort', sort],
    ]) {
      if (name && value) {
        query.push([name, value]);
      }
    }
    if (JSON.stringify(query) !== asked) {
      asked = JSON.stringify(query);
      selection.only([]);
      load(false);
    } else {
      show();
      load(true);
    }
  }

  /** Stops what goes on while the list is not shown. */
  function hide() {
    unregister();
    unregister = () => {};
    clearTimeout(timer);
  }

  function close() {
    hide();
    panel.close();
    bar.close();
  }

  /** @param {boolean} quiet a refresh of what is shown */
  function load(quiet) {
    clearTimeout(timer);
    const query = JSON.parse(asked);
    const before = changes;
    panel.show(
      // A refresh that fails leaves what is shown.
      async (signal) => {
        const note = where.load(state?.app ?? '', signal);
        const found = await get(appPath(state?.app ?? '', 'issues'), query, signal).catch(
          quiet ? () => null : (error) => Promise.reject(error),
        );
        // Shown with the list, it moves nothing.
        await note;
        return found;
      },
      (found) => {
        plan();
        if (!found || before !== changes) {
          return undefined;
        }
        take(found, []);
        return content();
      },
      quiet,
    );
  }

  /** A list that runs on is read again while nobody works with it. */
  function plan() {
    clearTimeout(timer);
    if (state && isRunning(state)) {
      timer = setTimeout(() => {
        if (document.hidden || pages > 1 || selection.ids.size > 0 || document.querySelector('.issue-view .menu')) {
          plan();
        } else {
          load(true);
        }
      }, AGAIN);
    }
  }

  /**
   * @param {any} found a page of the API
   * @param {Issue[]} before
   */
  function take(found, before) {
    reply = found;
    pages = before.length > 0 ? pages + 1 : 1;
    const known = new Set(before.map(({ id }) => id));
    issues = [...before, ...found.items.filter((/** @type {Issue} */ { id }) => !known.has(id))];
    show();
  }

  /** Reads the next page. */
  async function more() {
    const before = issues;
    const query = [
      ['cursor', reply.next],
      ['limit', String(ISSUES_A_PAGE)],
    ];
    panel.show(
      (signal) => get(appPath(state?.app ?? '', 'issues'), /** @type {[string, string][]} */ (query), signal),
      (found) => {
        take(found, before);
        return content();
      },
    );
  }

  /** The issues that are in the chosen state. */
  function shown() {
    const wanted = state?.options.state || 'open';
    return issues.filter((issue) => wanted === 'all' || issue.state === wanted);
  }

  function content() {
    return head.isConnected && issues.length > 0 ? undefined : [where.element, head, rows.element, foot];
  }

  function show() {
    if (state && reply) {
      const visible = shown();
      rows.show(visible, state, selection.ids);
      showSelection();
      fill(orders, ORDERS.map(orderButton));
      fill(foot, issueFoot(state, reply, { shown: visible.length, held: issues.length }, more));
    }
  }

  function showSelection() {
    const visible = shown().length;
    const some = selection.chosen().length;
    for (const box of rows.element.querySelectorAll('input')) {
      box.checked = selection.ids.has(box.closest('li')?.dataset.id ?? '');
    }
    all.checked = some > 0 && some === visible;
    all.indeterminate = some > 0 && some < visible;
    fill(count, some > 0 ? `${formatExact(some)} selected` : '');
    head.classList.toggle('some', some > 0);
    head.hidden = visible === 0;
  }

  /** @param {typeof ORDERS[number]} order */
  function orderButton([value, label]) {
    const pressed = value === (state?.options.sort ?? '');
    const click = () => navigate({ options: { ...state?.options, sort: value } });
    return h(
      'button',
      { type: 'button', class: 'quiet', 'aria-pressed': String(pressed), title: 'Order by this', on: { click } },
      label,
      pressed && h('span', { 'aria-hidden': 'true' }, '↓'),
    );
  }

  /**
   * @param {Issue[]} meant
   * @param {import('./verdict.js').Choice} choice
   */
  function decide(meant, choice) {
    const which = meant.filter(choice.when);
    if (which.length === 0) {
      return;
    }
    const visible = shown();
    const at = visible.findIndex(({ id }) => id === which[0]?.id);
    const had = rows.hasFocus() || document.activeElement === document.body;
    // The focus goes to the next row that stays.
    const after = visible.slice(at + 1).find((each) => !which.includes(each));
    selection.only([]);
    changes += 1;
    judge(state?.app ?? '', which, choice, (changed) => {
      changes += 1;
      for (const each of changed) {
        Object.assign(issues.find(({ id }) => id === each.id) ?? {}, each);
      }
      // Many replies may come at once.
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        show();
        const next = rows.inFocus() ?? after;
        if (had && next && document.activeElement === document.body) {
          rows.focusOn(next.id);
        }
      });
    });
  }

  /** @returns {import('../keys.js').Key[]} */
  function keys() {
    const moves = [
      { key: 'j', label: 'Next error', run: () => rows.move(1) },
      { key: 'k', label: 'Error before', run: () => rows.move(-1) },
      { key: 'ArrowDown', label: 'Next error', run: () => rows.move(1) },
      { key: 'ArrowUp', label: 'Error before', run: () => rows.move(-1) },
      { key: 'Enter', label: 'Open the error in focus' },
    ];
    const changing = [
      { key: 'x', label: 'Select the error in focus', run: () => focused().forEach(selection.toggle) },
      { key: 'e', label: 'Resolve the selected errors, or the one in focus', run: resolve },
      { key: 'u', label: 'Undo, while it is offered', run: undoLast },
      { key: 'Escape', label: 'Select nothing', run: () => selection.only([]) },
    ];
    return mayChange ? [...moves, ...changing] : moves;
  }

  /** The issue in focus, if one is. */
  function focused() {
    const issue = rows.hasFocus() ? rows.inFocus() : null;
    return issue ? [issue] : [];
  }

  function resolve() {
    const some = selection.chosen();
    decide(some.length > 0 ? some : focused(), choiceOf('Resolve'));
  }
}
