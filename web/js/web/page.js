import { copyBlock } from '../copy-block.js';
import { fill, h } from '../dom.js';
import { filterBar } from '../filter-bar.js';
import { formatTime } from '../format.js';
import { loadSheet } from '../later.js';
import { baseUrl, stateLink } from '../link.js';
import { maySeeData } from '../page.js';
import { intervalChoices, peopleRange, sentence } from '../people/parts.js';
import { currentState, filterParams, rangeParams } from '../state.js';
import { askStatistic, VIEW_NAMES, webAsks } from './asks.js';
import { goalPanel } from './goals.js';
import { visitorsNow } from './now.js';
import { MOST_VISIT_COLUMNS, VISIT_INTERVALS, visitNumbers } from './numbers.js';
import { webShelves } from './shelves.js';

/**
 * How a web page is visited.
 *
 * @param {import('../state.js').State} first
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function webPage(first, account) {
  let state = first;
  let styled = false;
  let closed = false;
  let controller = new AbortController();
  /** The range and filters that are asked about, and those with the interval. */
  let range = '';
  let question = '';
  /** @type {import('./asks.js').WebAsks | null} */
  let asks = null;
  /** Whether it waits for the first view of the app. */
  let waiting = false;
  const bar = filterBar(account, { compare: true });
  const now = visitorsNow(arrived);
  const numbers = visitNumbers({ answered, refused: () => showTables(false) });
  const shelves = [...webShelves(account, bar.suggest), goalPanel()];
  const tables = h(
    'div',
    { class: 'tables' },
    shelves.map(({ element: each }) => each),
  );
  const line = h('div', { class: 'fresh-line' }, now.element);
  const instead = h('div', { hidden: true });
  const content = h('div', { class: 'overview' }, line, instead, numbers.element, tables);
  const element = h('div', { class: 'page' }, h('h1', { class: 'hidden-text' }, 'Web'), bar.element);
  bar.update(first);
  Promise.all([loadSheet('people.css'), loadSheet('web.css')]).then(() => {
    styled = true;
    if (!closed) {
      // What is where, and so what is seen at first, needs the sheets.
      element.append(content);
      update(state);
    }
  });
  return { element, update, close };

  function close() {
    closed = true;
    controller.abort();
    now.close();
    numbers.close();
    for (const each of shelves) {
      each.close();
    }
    bar.close();
  }

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    bar.update(next);
    if (!styled) {
      return;
    }
    if (!maySeeData(account)) {
      fill(
        content,
        h('section', { class: 'panel' }, sentence('This link shows no visits of a web page: it hides data.')),
      );
      return;
    }
    const { chosen } = intervalChoices(next, VISIT_INTERVALS, MOST_VISIT_COLUMNS);
    const asked = JSON.stringify([next.app, rangeParams(next), filterParams(next.filters), next.compare]);
    if (asked !== range) {
      controller.abort();
      controller = new AbortController();
      range = asked;
      question = '';
    }
    const whole = JSON.stringify([asked, peopleRange(next, chosen)]);
    if (!asks || whole !== question) {
      question = whole;
      asks = webAsks(next, chosen, controller.signal);
    }
    now.update(next);
    numbers.update(next, asks);
    for (const each of shelves) {
      each.update(next, asks);
    }
  }

  /** @param {boolean} shown */
  function showTables(shown) {
    tables.hidden = !shown;
    if (!shown) {
      now.stop();
    }
  }

  /** @param {import('./asks.js').Visits} reply */
  function answered({ visits, views }) {
    const some = visits > 0 || views > 0;
    waiting = false;
    line.hidden = false;
    fill(instead);
    instead.hidden = some;
    numbers.element.hidden = !some;
    tables.hidden = !some;
    if (!some) {
      showNothing(controller.signal);
    }
  }

  /** @param {AbortSignal} signal */
  async function showNothing(signal) {
    const asked = state;
    if (asked.filters.length > 0) {
      fill(instead, h('section', { class: 'panel', role: 'status' }, sentence('No visit of this range matches.')));
      return;
    }
    const query = VIEW_NAMES.map((name) => /** @type {[string, string]} */ (['name', name]));
    // Whether there are older views is worth a sentence alone.
    const found = await askStatistic(asked.app ?? '', 'totals', query, signal).catch(() => null);
    if (signal.aborted) {
      return;
    }
    waiting = found?.items.length === 0;
    /** @type {string[]} */
    const days = (found?.items ?? []).map((/** @type {{ last_day: string }} */ each) => each.last_day);
    const last = days.sort().at(-1);
    line.hidden = waiting;
    fill(instead, waiting ? firstView() : noViews(last, asked));
  }

  /** @param {number} visitors */
  function arrived(visitors) {
    if (waiting && visitors > 0) {
      question = '';
      update(currentState());
    }
  }
}

/**
 * @param {string | undefined} last the day of the last view
 * @param {import('../state.js').State} state
 */
function noViews(last, state) {
  return h(
    'section',
    { class: 'panel web-empty', role: 'status' },
    h('p', null, 'No page views in this range.', last && ` The last ones were on ${formatTime(last, 'UTC', 'date')}.`),
    state.since !== '30d' &&
      stateLink({ ...state, since: '30d', until: '' }, { class: 'text-link' }, 'Show the last 30 days'),
  );
}

/** How an app gets its first view. */
function firstView() {
  return h(
    'section',
    { class: 'panel web-empty', 'aria-label': 'First page view' },
    h('h2', null, 'Count the views of a page'),
    h('p', null, 'Put this line into each page, with an ingest key of the app in place of tly_in_…:'),
    copyBlock('script', `<script defer src="${baseUrl()}tally.js" data-key="tly_in_…"></script>`),
    h(
      'p',
      { class: 'muted' },
      'It sets no cookie, and also tells time on page, and with data-track outbound links, downloads and forms. docs/web-script.md has its attributes and calls, and how a key is bound to the origin of a page. Pages with the script of Plausible or Umami only need another address.',
    ),
    h('p', { class: 'light', role: 'status' }, 'Waiting for the first view'),
  );
}
