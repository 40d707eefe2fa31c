import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { formatExact } from '../format.js';
import { registerKeys } from '../keys.js';
import { note } from '../overview/freshness.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { describeRange, isRunning, PRESETS } from '../range.js';
import { filterParams, navigate, rangeParams } from '../state.js';
import { issueBar, levelFilters } from './issue-bar.js';
import { issueRow } from './issue-row.js';
import { choiceOf, judge, undoLast, verdictMenu } from './verdict.js';

/** Issues of a page of the API, and most that the list holds. */
const ISSUES_A_PAGE = 50;
const MOST_ISSUES = 1000;

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
  /** @type {Set<string>} */
  const selected = new Set();
  /** The issue that was selected last: Shift selects from it on. */
  let anchor = '';
  /** The issue that had the focus last. */
  let current = '';
  let frame = 0;
  /** @type {Map<string, { key: string, element: HTMLElement }>} the rows by issue */
  let drawn = new Map();
  const bar = issueBar(account);
  const panel = new Panel({ what: 'Errors', class: 'issue-panel' });
  const rows = h('ul', { class: 'issues', 'aria-label': 'Errors' });
  rows.addEventListener('focusin', ({ target }) => {
    current = /** @type {Element} */ (target).closest('li')?.dataset.id ?? current;
  });
  rows.addEventListener('click', open);
  const all = h('input', {
    type: 'checkbox',
    'aria-label': 'Select all of this page',
    title: 'Select all of this page',
  });
  all.addEventListener('change', () => select(all.checked ? shown() : [], true));
  const count = h('span', { class: 'muted', role: 'status' });
  const bulk = h(
    'div',
    { class: 'row issue-bulk' },
    count,
    verdictMenu(chosen, decide, { of: 'the selected errors', align: 'left' }),
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
      select([], true);
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
    panel.show(
      // A refresh that fails leaves what is shown.
      (signal) =>
        get(appPath(state?.app ?? '', 'issues'), query, signal).catch(
          quiet ? () => null : (error) => Promise.reject(error),
        ),
      (found) => {
        plan();
        if (!found) {
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
        if (document.hidden || pages > 1 || selected.size > 0 || document.querySelector('.issue-view .menu')) {
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

  function chosen() {
    return shown().filter(({ id }) => selected.has(id));
  }

  function content() {
    return head.isConnected && issues.length > 0 ? undefined : [head, rows, foot];
  }

  /** Draws the rows that changed. What has the focus keeps it. */
  function show() {
    if (!state || !reply) {
      return;
    }
    const focused = rows.contains(document.activeElement);
    const within = document.activeElement?.className ?? '';
    const visible = shown();
    const before = drawn;
    drawn = new Map(visible.map((issue) => [issue.id, rowOf(issue, before)]));
    const elements = [...drawn.values()].map(({ element: each }) => each);
    // Rows that stay are not touched, or a click on one could be lost.
    if (elements.length !== rows.children.length || elements.some((each, at) => each !== rows.children[at])) {
      fill(rows, elements);
      if (focused) {
        focusOn(current, within);
      }
    }
    showHead(visible);
    fill(foot, footText(visible), moreButton());
  }

  /**
   * The row of an issue: the one that is there, if it shows the same. How long ago something was is right to the minute.
   *
   * @param {Issue} issue
   * @param {typeof drawn} before
   */
  function rowOf(issue, before) {
    const view = /** @type {import('../state.js').State} */ (state);
    const key = JSON.stringify([issue, view, Math.floor(Date.now() / AGAIN)]);
    const old = before.get(issue.id);
    if (old?.key === key) {
      return old;
    }
    const element = issueRow(issue, {
      state: view,
      selected: selected.has(issue.id),
      select: mayChange ? (event) => press(issue, event) : null,
      menu: mayChange
        ? verdictMenu(() => [issue], decide, { of: issue.name ?? issue.title.slice(0, 100), class: 'quiet' })
        : null,
    });
    return { key, element };
  }

  /** @param {Issue[]} visible */
  function showHead(visible) {
    const some = chosen().length;
    all.checked = some > 0 && some === visible.length;
    all.indeterminate = some > 0 && some < visible.length;
    all.disabled = visible.length === 0;
    fill(count, some > 0 ? `${formatExact(some)} selected` : '');
    head.classList.toggle('some', some > 0);
    head.hidden = visible.length === 0;
    const sort = state?.options.sort ?? '';
    fill(
      orders,
      ORDERS.map(([value, label]) => {
        const click = () => navigate({ options: { ...state?.options, sort: value } });
        const pressed = value === sort;
        return h(
          'button',
          { type: 'button', class: 'quiet', 'aria-pressed': String(pressed), title: 'Order by this', on: { click } },
          label,
          pressed && h('span', { 'aria-hidden': 'true' }, '↓'),
        );
      }),
    );
  }

  /** @param {Issue[]} visible */
  function footText(visible) {
    return [
      visible.length === 0
        ? nothing()
        : h('span', null, `${formatExact(visible.length)}${reply.next ? '+' : ''} errors`),
      !reply.complete &&
        note('◐', 'Some are missing or counted in part: more groups than counters hold, or than one question may read'),
    ];
  }

  function nothing() {
    const { since = '', options = {} } = state ?? {};
    const longer = PRESETS[PRESETS.indexOf(since) + 1];
    const kind = options.state === 'all' ? '' : `${options.state || 'open'} `;
    const range = state ? describeRange(state) : '';
    return h(
      'span',
      { class: 'row' },
      `No ${kind}errors${options.q ? ' match' : ''} in “${range}”.`,
      PRESETS.includes(since) &&
        longer &&
        h(
          'button',
          { type: 'button', class: 'quiet link', on: { click: () => navigate({ since: longer, until: '' }) } },
          `Search ${longer.replace(/(\d)([a-z])/, '$1 $2')}`,
        ),
    );
  }

  function moreButton() {
    if (!reply.next || issues.length >= MOST_ISSUES) {
      return reply.next ? `The list ends at ${formatExact(MOST_ISSUES)}: search, or choose a shorter range` : null;
    }
    return h('button', { type: 'button', on: { click: more } }, 'Show more');
  }

  /**
   * @param {Issue[]} which
   * @param {boolean} alone whether others are not selected any more
   */
  function select(which, alone) {
    if (alone) {
      selected.clear();
    }
    for (const { id } of which) {
      selected.add(id);
    }
    for (const box of rows.querySelectorAll('input')) {
      box.checked = selected.has(box.closest('li')?.dataset.id ?? '');
    }
    showHead(reply ? shown() : []);
  }

  /**
   * The click on a checkbox: with Shift it takes the span from the last one.
   *
   * @param {Issue} issue
   * @param {MouseEvent} event
   */
  function press(issue, event) {
    const visible = shown();
    const [from, to] = [anchor, issue.id].map((id) => visible.findIndex((each) => each.id === id));
    const on = /** @type {HTMLInputElement} */ (event.currentTarget).checked;
    const span =
      event.shiftKey && from !== undefined && to !== undefined && from >= 0
        ? visible.slice(Math.min(from, to), Math.max(from, to) + 1)
        : [issue];
    if (!on) {
      for (const { id } of span) {
        selected.delete(id);
      }
    }
    select(on ? span : [], false);
    anchor = issue.id;
  }

  /**
   * @param {Issue[]} which
   * @param {import('./verdict.js').Choice} choice
   */
  function decide(which, choice) {
    const visible = shown();
    const at = visible.findIndex(({ id }) => id === which[0]?.id);
    const had = rows.contains(document.activeElement) || document.activeElement === document.body;
    // The focus goes to the next row that stays.
    const after = visible.slice(at + 1).find((each) => !which.includes(each));
    select([], true);
    judge(state?.app ?? '', which, choice, (changed) => {
      for (const each of changed) {
        Object.assign(issues.find(({ id }) => id === each.id) ?? {}, each);
      }
      // Many replies may come at once.
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        show();
        const next = shown().some(({ id }) => id === current) ? current : after?.id;
        if (had && next && document.activeElement === document.body) {
          focusOn(next, '');
        }
      });
    });
  }

  /**
   * A click beside the parts of a row opens it.
   *
   * @param {MouseEvent} event
   */
  function open(event) {
    const target = /** @type {Element} */ (event.target);
    if (!target.closest('a, button, input, label, .menu') && getSelection()?.isCollapsed) {
      target.closest('li')?.querySelector('a')?.click();
    }
  }

  /**
   * @param {string} id
   * @param {string} within the class of the element of the row, where it is not the link
   */
  function focusOn(id, within) {
    const row = [...rows.children].find((each) => /** @type {HTMLElement} */ (each).dataset.id === id);
    const same =
      within && [...(row?.querySelectorAll('a, button, input') ?? [])].find((each) => each.className === within);
    const target = same || row?.querySelector('.issue-link');
    if (target instanceof HTMLElement) {
      target.focus({ preventScroll: true });
      row?.scrollIntoView({ block: 'nearest' });
    }
  }

  /** @param {number} step */
  function move(step) {
    const visible = shown();
    const at = visible.findIndex(({ id }) => id === current);
    const inside = rows.contains(document.activeElement);
    const next = visible[at < 0 ? 0 : inside ? at + step : at];
    if (next) {
      focusOn(next.id, '');
    }
  }

  /** The issues that a key is for: the selected ones, else the one in focus. */
  function meant() {
    const some = chosen();
    return some.length > 0
      ? some
      : rows.contains(document.activeElement)
        ? shown().filter(({ id }) => id === current)
        : [];
  }

  /** @returns {import('../keys.js').Key[]} */
  function keys() {
    const moves = [
      { key: 'j', label: 'Next error', run: () => move(1) },
      { key: 'k', label: 'Error before', run: () => move(-1) },
      { key: 'ArrowDown', label: 'Next error', run: () => move(1) },
      { key: 'ArrowUp', label: 'Error before', run: () => move(-1) },
      { key: 'Enter', label: 'Open the error in focus' },
    ];
    const changes = [
      { key: 'x', label: 'Select the error in focus', run: toggle },
      { key: 'e', label: 'Resolve the selected errors, or the one in focus', run: resolve },
      { key: 'u', label: 'Undo, while it is offered', run: undoLast },
      { key: 'Escape', label: 'Select nothing', run: () => select([], true) },
    ];
    return mayChange ? [...moves, ...changes] : moves;
  }

  function toggle() {
    const issue = shown().find(({ id }) => id === current);
    if (issue && rows.contains(document.activeElement)) {
      const on = !selected.has(issue.id);
      selected.delete(issue.id);
      select(on ? [issue] : [], false);
      anchor = issue.id;
    }
  }

  function resolve() {
    const which = meant();
    if (which.length > 0) {
      decide(which, choiceOf('Resolve'));
    }
  }
}
