import { ApiError } from '../api.js';
import { fill, h } from '../dom.js';
import { emptyState } from '../empty.js';
import { filterBar } from '../filter-bar.js';
import { formatTime } from '../format.js';
import { mayHaveAnnotations, readAnnotations } from '../overview/annotations.js';
import { overviewCards } from '../overview/cards.js';
import { chartPanel } from '../overview/chart-panel.js';
import { freshness, offlineNote } from '../overview/freshness.js';
import { listPanel } from '../overview/list-panel.js';
import { CATEGORIES, MESSAGES, NAMES } from '../overview/lists.js';
import { noMatch } from '../overview/no-match.js';
import { propertyPanel } from '../overview/property.js';
import { overviewParams, readOverview } from '../overview/reply.js';
import { mayHaveThresholds, readThresholds } from '../overview/thresholds.js';
import { maySeeData, maySeeEvents } from '../page.js';
import { Panel } from '../panel.js';
import { isRunning } from '../range.js';

/** Milliseconds between two refreshes, and between two tries to reach a server that does not answer. */
const REFRESH = 60_000;
const RECONNECT = 5_000;

/** Whether the server stacks by name; until it has refused, it is asked. */
let stacksNames = true;

/**
 * The numbers of an app: one request feeds cards, chart and tables.
 *
 * @param {import('../state.js').State} first
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function overviewPage(first, account) {
  const bar = filterBar(account, { compare: true });
  const cards = h('div', { class: 'cards' });
  const fresh = h('div', { class: 'fresh-line' });
  const problem = new Panel({ what: 'Numbers' });
  const chart = chartPanel(account);
  const property = maySeeData(account) ? propertyPanel(account) : null;
  const lists = [NAMES, MESSAGES, CATEGORIES].map((list) => ({
    list,
    ...listPanel(() => list, { id: list.id, title: list.title, account }),
  }));
  const tables = h(
    'div',
    { class: 'tables' },
    lists.map(({ panel }) => panel.element),
    property?.elements,
  );
  const instead = h('div', { class: 'instead', hidden: true });
  const content = h('div', { class: 'overview' }, cards, fresh, problem.element, chart.element, tables, instead);
  const element = h('div', { class: 'page' }, h('h1', { class: 'hidden-text' }, 'Overview'), bar.element, content);
  problem.element.hidden = true;

  let state = first;
  /** @type {import('../overview/reply.js').Overview | null} */
  let reply = null;
  /** The question that `reply` answers. */
  let answered = '';
  let readAt = 0;
  let failed = false;
  let timer = 0;
  let controller = new AbortController();
  /** @type {import('../overview/chart-panel.js').Mark[]} */
  let annotations = [];
  /** @type {import('../overview/thresholds.js').Threshold[]} */
  let thresholds = [];
  /** @type {{ close: () => void } | null} */
  let empty = null;

  document.addEventListener('visibilitychange', refreshIfOld);
  window.addEventListener('online', refreshIfOld);
  const skeleton = setTimeout(() => content.classList.add('waiting'), 150);
  bar.update(state);
  load();
  return { element, update, close };

  function close() {
    controller.abort();
    clearTimeout(timer);
    clearTimeout(skeleton);
    document.removeEventListener('visibilitychange', refreshIfOld);
    window.removeEventListener('online', refreshIfOld);
    empty?.close();
    property?.close();
    chart.close();
    bar.close();
  }

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    bar.update(state);
    if (question() !== answered) {
      load();
    } else if (reply) {
      // Only how the numbers are shown has changed.
      show(reply);
    }
  }

  function question() {
    return JSON.stringify(overviewParams(state, stacksNames && state.options.by === 'name'));
  }

  function refreshIfOld() {
    if (!document.hidden && (failed || Date.now() - readAt >= REFRESH)) {
      load();
    }
  }

  async function load() {
    controller.abort();
    controller = new AbortController();
    const { signal } = controller;
    const asked = question();
    const app = state.app ?? '';
    let next = REFRESH;
    clearTimeout(timer);
    // A refresh replaces numbers without a sign; another question dims the old ones.
    content.toggleAttribute('aria-busy', asked !== answered);
    try {
      const found = await readOverview(app, JSON.parse(asked), signal);
      readAt = Date.now();
      failed = false;
      const isNew = asked !== answered;
      // A server that does not know the parameter may also pass over it.
      stacksNames &&=
        state.options.by !== 'name' || found.total === 0 || found.series.some(({ by_name: names }) => names);
      answered = question();
      reply = found;
      clearTimeout(skeleton);
      content.classList.remove('waiting');
      problem.element.hidden = true;
      fill(problem.body);
      thresholds = isNew ? [] : thresholds;
      show(found, isNew);
      showAnnotations(app, found, signal);
      showThresholds(found, signal);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      failed = true;
      fail(error, asked);
      if (error instanceof ApiError && error.status === 0) {
        next = RECONNECT;
      }
    }
    if (!signal.aborted) {
      content.removeAttribute('aria-busy');
      if (failed || isRunning(state)) {
        timer = setTimeout(() => document.hidden || load(), next);
      }
    }
  }

  /**
   * @param {unknown} error
   * @param {string} asked
   */
  function fail(error, asked) {
    clearTimeout(skeleton);
    content.classList.remove('waiting');
    if (stacksNames && state.options.by === 'name' && error instanceof ApiError && error.status === 400) {
      // A server that does not stack by name refuses the parameter.
      stacksNames = false;
      load();
      return;
    }
    const offline = error instanceof ApiError && error.status === 0;
    if (offline && reply && asked === answered) {
      fill(fresh, offlineNote(formatTime(readAt, state.tz, 'second')));
      return;
    }
    fill(problem.body, problem.failure(error, load));
    problem.element.hidden = false;
    if (asked !== answered) {
      // The old numbers would answer another question.
      answered = '';
      showParts(false);
    }
  }

  /** @param {boolean} numbers whether chart and tables are shown, or what stands in their place */
  function showParts(numbers) {
    for (const each of [chart.element, tables]) {
      each.hidden = !numbers;
    }
    cards.hidden = !numbers && !instead.firstChild;
    fresh.hidden = cards.hidden;
    instead.hidden = numbers;
  }

  /**
   * @param {import('../overview/reply.js').Overview} found
   * @param {boolean} [isNew]
   */
  function show(found, isNew = false) {
    const app = state.app ?? '';
    if (found.total === 0 && !found.last_event_at && state.filters.length === 0) {
      if (!empty) {
        const waiting = emptyState(state, account, load);
        empty = waiting;
        fill(instead, waiting.element);
      }
      showParts(false);
      cards.hidden = true;
      fresh.hidden = true;
      return;
    }
    if (empty) {
      empty.close();
      empty = null;
      fill(instead);
    }
    fill(cards, overviewCards(found));
    if (!fresh.querySelector('.menu')) {
      fill(fresh, freshness(found, app, account));
    }
    if (found.total === 0) {
      if (isNew || !instead.firstChild) {
        fill(instead, noMatch(state, controller.signal));
      }
      showParts(false);
      return;
    }
    fill(instead);
    showParts(true);
    chart.update(found, state, annotations, stacksNames, thresholds);
    const only = state.options.all;
    tables.classList.toggle('one', Boolean(only));
    for (const { list, panel, update: updateList } of lists) {
      panel.element.hidden = only ? only !== list.id : !list.rows(found);
      if (!panel.element.hidden) {
        updateList(found, state);
      }
      const rows = list.rows(found);
      // The text of a group may be no message.
      bar.suggest(list.field, rows ? rows.filter(({ group }) => !group).map(({ value }) => value) : []);
    }
    property?.update(found);
  }

  /**
   * @param {string} app
   * @param {import('../overview/reply.js').Overview} found
   * @param {AbortSignal} signal
   */
  async function showAnnotations(app, found, signal) {
    if (!maySeeEvents(account) || found.total === 0 || !mayHaveAnnotations(found, state.filters.length > 0)) {
      annotations = [];
      return;
    }
    // A chart without its marks is better than none.
    annotations = await readAnnotations(app, found, signal).catch(() => []);
    if (!signal.aborted && reply === found && annotations.length > 0) {
      chart.update(found, state, annotations, stacksNames, thresholds);
    }
  }
  /**
   * @param {import('../overview/reply.js').Overview} found
   * @param {AbortSignal} signal
   */
  async function showThresholds(found, signal) {
    const before = thresholds;
    const asks = found.total > 0 && mayHaveThresholds(account, state);
    const next = asks ? await readThresholds(state, found.interval, signal).catch(() => before) : [];
    if (signal.aborted || reply !== found) {
      return;
    }
    thresholds = next;
    if (next.length + before.length > 0) {
      chart.update(found, state, annotations, stacksNames, next);
    }
  }
}
