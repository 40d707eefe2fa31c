import { fill, h } from '../dom.js';
import { formatExact, formatShare, formatTime } from '../format.js';
import { mayFilter } from '../page.js';
import { Panel } from '../panel.js';
import { lastAsked } from '../people/last-asked.js';
import { keepControl, setOptions, showAllowed } from '../people/parts.js';
import { filterParams, rangeParams } from '../state.js';
import { keepFocus } from '../value.js';
import { askStatistic, MOST_PAGES, VIEW_NAMES, whenSeen } from './asks.js';
import { displayName, webRows } from './rows.js';

/** Rows that a table shows at first, and at most. */
const ROWS_AT_FIRST = 10;
const ROWS_AT_MOST = 100;

/** The name of what tells how long a page was seen: nothing that a visitor did. */
const ENGAGEMENT = 'engagement';

/**
 * Rows of a table and what is to be known of them.
 *
 * @typedef {{
 *   rows: import('./rows.js').WebRow[], heads: string[], compare: boolean, more: boolean, left: number, since: string | null,
 * }} Shelf `more` says whether there are rows beyond; `left` how many are not listed at all; `since` from when on events are in
 *
 * @typedef {{
 *   state: import('../state.js').State, asks: import('./asks.js').WebAsks, limit: number, signal: AbortSignal,
 * }} ShelfQuestion
 *
 * A table. Without an `id` it is the first one of its panel.
 *
 * @typedef {{
 *   id: string, tab: string, title: string, head: string, field: string, none?: string, names?: (value: string) => string | null,
 *   read: (question: ShelfQuestion) => Promise<Shelf>,
 * }} ShelfTable
 */

/**
 * What visitors viewed, by one attribute of their views.
 *
 * @param {string} id
 * @param {string} tab
 * @param {string} title
 * @param {string} head of the column of values
 * @param {string} path
 * @param {{ none?: string, names?: (value: string) => string | null }} [words]
 * @returns {ShelfTable}
 */
function byAttribute(id, tab, title, head, path, words = {}) {
  return { id, tab, title, head, field: `attr.${path}`, ...words, read: (question) => readGroups(path, question) };
}

/** @type {{ id: string, title: string, tables: ShelfTable[] }[]} */
const SHELVES = [
  {
    id: 'pages',
    title: 'Pages',
    tables: [
      byAttribute('', 'All', 'Pages', 'Page', 'path'),
      {
        id: 'entry',
        tab: 'Entry',
        title: 'Entry pages',
        head: 'Entry page',
        field: 'attr.path',
        read: (all) => readPages('entry_pages', all),
      },
      {
        id: 'exit',
        tab: 'Exit',
        title: 'Exit pages',
        head: 'Exit page',
        field: 'attr.path',
        read: (all) => readPages('exit_pages', all),
      },
    ],
  },
  {
    id: 'sources',
    title: 'Sources',
    tables: [byAttribute('', '', 'Sources', 'Source', 'referrer_host', { none: 'Direct / none' })],
  },
  {
    id: 'campaigns',
    title: 'Campaigns',
    tables: [
      byAttribute('', 'Campaign', 'Campaigns', 'Campaign', 'utm_campaign'),
      byAttribute('source', 'Source', 'Campaign sources', 'Source', 'utm_source'),
      byAttribute('medium', 'Medium', 'Campaign media', 'Medium', 'utm_medium'),
    ],
  },
  {
    id: 'countries',
    title: 'Countries',
    tables: [byAttribute('', '', 'Countries', 'Country', 'country', { names: (code) => displayName('region', code) })],
  },
  {
    id: 'devices',
    title: 'Devices',
    tables: [
      byAttribute('', 'Device', 'Devices', 'Device', 'device'),
      byAttribute('browser', 'Browser', 'Browsers', 'Browser', 'browser'),
      byAttribute('os', 'System', 'Systems', 'System', 'os'),
    ],
  },
  {
    id: 'languages',
    title: 'Languages',
    tables: [
      byAttribute('', '', 'Languages', 'Language', 'language', { names: (code) => displayName('language', code) }),
    ],
  },
  {
    id: 'events',
    title: 'Events',
    tables: [{ id: '', tab: '', title: 'Events', head: 'Event', field: 'name', read: readEvents }],
  },
];

/**
 * The tables about visits. Each reads its rows once it is about to be seen.
 *
 * @param {import('../page.js').Account} account
 * @param {(field: string, values: string[]) => void} suggest
 */
export function webShelves(account, suggest) {
  return SHELVES.map((shelf) => shelfPanel(shelf, account, suggest));
}

/**
 * @param {typeof SHELVES[0]} shelf
 * @param {import('../page.js').Account} account
 * @param {(field: string, values: string[]) => void} suggest
 */
function shelfPanel({ id, title, tables }, account, suggest) {
  const first = /** @type {ShelfTable} */ (tables[0]);
  const panel = new Panel({ what: title, class: 'list-panel web-shelf' });
  const tabs = h('div', { class: 'web-tabs', role: 'group', 'aria-label': `Tables: ${title}` });
  panel.element.prepend(h('div', { class: 'panel-head' }, h('h2', null, title), tabs));
  const sight = whenSeen(panel.element);
  const asked = lastAsked();
  /** @type {{ table: ShelfTable, found: Shelf, all: boolean } | null} */
  let shown = null;
  return {
    element: panel.element,
    update,
    close: () => {
      sight.close();
      panel.close();
    },
  };

  /**
   * @param {import('../state.js').State} state
   * @param {import('./asks.js').WebAsks} asks
   */
  function update(state, asks) {
    const table = tables.find((each) => each.id === (state.options[id] ?? '')) ?? first;
    const all = state.options.all === id;
    keepControl(tabs, () => fill(tabs, tables.length > 1 && tables.map((each) => tabButton(each, each === table))));
    const range = [state.app, rangeParams(state), filterParams(state.filters), state.compare];
    if (asked.isNew(JSON.stringify([table.id, all, range]))) {
      panel.close();
      shown = null;
      sight.ask(() => load({ table, all, state, asks }));
    } else {
      draw();
    }
  }

  /** @param {{ table: ShelfTable, all: boolean, state: import('../state.js').State, asks: import('./asks.js').WebAsks }} question */
  function load({ table, all, state, asks }) {
    showAllowed(
      panel,
      (signal) => table.read({ state, asks, limit: all ? ROWS_AT_MOST : ROWS_AT_FIRST, signal }),
      (found) => {
        suggest(
          table.field,
          found.rows.flatMap(({ value }) => (typeof value === 'string' ? [value] : [])),
        );
        shown = { table, found, all };
        return content();
      },
    );
  }

  /** Draws the rows anew: what is a goal has changed. */
  function draw() {
    if (shown && !panel.element.hasAttribute('aria-busy')) {
      keepControl(panel.body, () => keepFocus(panel.body, () => fill(panel.body, content())));
    }
  }

  function content() {
    if (!shown) {
      return null;
    }
    const { table, found, all } = shown;
    const { rows, heads, compare, more, left, since } = found;
    const of = {
      field: table.field,
      title: table.title,
      head: table.head,
      heads,
      none: table.none ?? 'none',
      names: table.names ?? (() => null),
      mayFilter: mayFilter(account, table.field),
    };
    const toggle = () => setOptions({ all: all ? '' : id });
    const words = all ? 'Show less' : 'Show all';
    return [
      webRows(of, rows, compare),
      (all || more) &&
        h(
          'button',
          {
            type: 'button',
            class: 'quiet more',
            'aria-label': `${words}: ${table.title}`,
            dataset: { focus: `all ${id}` },
            on: { click: toggle },
          },
          words,
        ),
      all && left > 0 && h('p', { class: 'empty-rows muted' }, `${formatExact(left)} more are not listed.`),
      since &&
        h(
          'p',
          { class: 'empty-rows muted', role: 'status' },
          `◐ Of the events since ${since}: the range has more than one question may read.`,
        ),
    ];
  }

  /**
   * @param {ShelfTable} table
   * @param {boolean} chosen
   */
  function tabButton(table, chosen) {
    return h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        'aria-pressed': String(chosen),
        dataset: { focus: `table ${id} ${table.id}` },
        on: { click: () => setOptions({ [id]: table.id }) },
      },
      table.tab,
    );
  }
}

/**
 * The views by an attribute; with a filter by name, the events of that name.
 *
 * @param {string} path
 * @param {ShelfQuestion} question
 * @returns {Promise<Shelf>}
 */
async function readGroups(path, { state, limit, signal }) {
  const names = state.filters.find(({ field, operator }) => field === 'name' && operator === '')?.values;
  const views = names ? [] : [{ field: 'name', operator: /** @type {const} */ (''), values: VIEW_NAMES }];
  const query = [
    ...rangeParams(state),
    ...filterParams([...views, ...state.filters]),
    .../** @type {[string, string][]} */ ([
      ['attr', path],
      ['limit', String(limit)],
    ]),
  ];
  if (state.compare) {
    query.push(['compare', 'previous']);
  }
  /** @param {[string, string][]} more */
  const ask = (more) => askStatistic(state.app ?? '', 'groups', [...query, ...more], signal);
  let reply = await ask([['people', 'true']]);
  if (reply.covered_since) {
    // Counters may know all views, though not who saw them.
    reply = await ask([]);
  }
  const left = reply.left_out?.items ?? 0;
  const isAll = reply.complete !== false || !reply.covered_since;
  return {
    rows: reply.items,
    heads: ['Visitors', !names || names.every((each) => VIEW_NAMES.includes(each)) ? 'Views' : 'Events'],
    // Counts of a part have nothing to be compared with.
    compare: Boolean(reply.previous) && isAll,
    more: left > 0,
    left,
    since: isAll ? null : formatTime(reply.covered_since, state.tz, 'moment'),
  };
}

/**
 * The pages by which visits began or ended.
 *
 * @param {'entry_pages' | 'exit_pages'} list
 * @param {ShelfQuestion} question
 * @returns {Promise<Shelf>}
 */
async function readPages(list, { state, asks, limit }) {
  const reply = await asks.visits();
  const before = await asks.before().catch(() => null);
  const counts = new Map(before?.[list].map(({ path, visits }) => [path, visits]));
  // One that is not in a full list may be beyond its end.
  const rest = before && before[list].length < MOST_PAGES ? 0 : null;
  return {
    rows: reply[list].slice(0, limit).map(({ path, visits, bounce_rate: bounced }) => ({
      value: path,
      count: visits,
      previous: counts.get(path) ?? rest,
      cells: [bounced === null ? '–' : formatShare(bounced)],
    })),
    heads: ['Visits', 'Bounce'],
    compare: before !== null,
    more: reply[list].length > limit,
    left: 0,
    since: partOf(reply, state),
  };
}

/**
 * The events that are no views.
 *
 * @param {ShelfQuestion} question
 * @returns {Promise<Shelf>}
 */
async function readEvents({ state, asks, limit }) {
  const reply = await asks.names();
  const rows = reply.items.filter(({ name }) => !VIEW_NAMES.includes(name) && name !== ENGAGEMENT);
  const since = reply.covered_since ?? null;
  return {
    rows: rows.slice(0, limit).map(({ name, ...counts }) => ({ value: name, ...counts })),
    heads: ['Events'],
    compare: Boolean(reply.previous) && since === null,
    more: rows.length > limit || reply.next !== null,
    left: 0,
    since: since && formatTime(since, state.tz, 'moment'),
  };
}

/**
 * From when on the visits of a reply are in, where that is not all of its range.
 *
 * @param {import('./asks.js').Visits} reply
 * @param {import('../state.js').State} state
 */
function partOf({ complete, covered }, state) {
  return complete === false && covered ? formatTime(covered.since, state.tz, 'moment') : null;
}
