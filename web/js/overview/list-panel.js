import { downloadCsv } from '../csv.js';
import { describe, notify } from '../dialog.js';
import { fill, h } from '../dom.js';
import { formatCount, formatExact } from '../format.js';
import { keyFilters, maySeeIssues } from '../page.js';
import { Panel } from '../panel.js';
import { currentState, navigate } from '../state.js';
import { keepFocus } from '../value.js';
import { countTable } from './count-table.js';
import { listParams, withPrevious } from './lists.js';
import { overviewParams } from './reply.js';

const FIRST_ROWS = 10;
const PAGE = 1000;
/** Rows that are drawn: more of them are in the CSV. */
const MAX_DRAWN = 10_000;

/**
 * A table of an overview: its first ten rows, or all of them (`all=ID` in the URL).
 *
 * @param {() => import('./lists.js').List | null} listOf null while no property is chosen
 * @param {{ id: string, title: string, account: import('../page.js').Account, extra?: HTMLElement }} options `extra` stands beside
 *   the title
 */
export function listPanel(listOf, { id, title, account, extra }) {
  const panel = new Panel({ what: title, class: 'list-panel' });
  const all = h('button', { type: 'button', class: 'quiet', on: { click: toggleAll } }, 'Show all');
  const csv = h(
    'button',
    { type: 'button', class: 'quiet', 'aria-label': `CSV of ${title}`, on: { click: download } },
    'CSV',
  );
  panel.element.prepend(
    h('div', { class: 'panel-head' }, h('h2', null, title), extra, h('div', { class: 'spacer' }), all, csv),
  );
  /** @type {import('./reply.js').Overview | null} */
  let reply = null;
  /** The question whose rows are all shown. */
  let shown = '';
  return { panel, update, fillNow };

  /**
   * @param {import('./reply.js').Overview} next
   * @param {import('../state.js').State} state
   */
  function update(next, state) {
    reply = next;
    const list = listOf();
    const readable = !!list && mayListAll(list, state);
    const expanded = readable && state.options.all === id;
    all.textContent = expanded ? 'Show less' : 'Show all';
    all.setAttribute('aria-label', `${all.textContent}: ${title}`);
    all.hidden = !readable;
    csv.hidden = !readable;
    panel.element.classList.toggle('expanded', expanded);
    if (!list) {
      return;
    }
    const rows = list.rows(next);
    const question = expanded ? JSON.stringify([list.field, overviewParams(state)]) : '';
    if (expanded && question === shown) {
      // All rows stay as they were read: a refresh would take away those of further pages.
      return;
    }
    shown = question;
    if (expanded) {
      panel.show(
        (signal) => allRows(list, PAGE, signal),
        (page) => keepTable(list, page),
      );
    } else if (rows) {
      panel.close();
      fillNow(list, rows.slice(0, FIRST_ROWS));
    }
  }

  /**
   * Whether the server lists all rows with the filters of the page, and of the key of a visitor.
   *
   * @param {import('./lists.js').List} list
   * @param {import('../state.js').State} state
   */
  function mayListAll({ knows }, { filters }) {
    return !knows || [...filters, ...keyFilters(account)].every(({ field }) => knows.includes(field));
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {import('./lists.js').Row[]} rows
   * @param {import('../dom.js').Child} [below]
   */
  function fillNow(list, rows, below = null) {
    panel.filled = true;
    keepFocus(panel.body, () =>
      fill(panel.body, countTable(list, rows, reply?.tz ?? 'UTC', maySeeIssues(account)), below),
    );
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {import('./lists.js').RowPage} page
   */
  function keepTable(list, page) {
    fillNow(list, page.rows.slice(0, MAX_DRAWN), moreRows(list, page));
    return undefined;
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {import('./lists.js').RowPage} page
   */
  function moreRows(list, page) {
    const { next, rows, leftOut } = page;
    if (next && rows.length < MAX_DRAWN) {
      const more = async () => {
        const further = await list.page(currentState().app ?? '', [['cursor', next]], PAGE);
        keepTable(list, { ...further, rows: [...rows, ...further.rows] });
      };
      const click = () => more().catch((error) => notify(describe(error)));
      return h('button', { type: 'button', class: 'more', on: { click } }, 'Show more');
    }
    const left = next ? 'More are in the CSV.' : leftOut > 0 && `${formatExact(leftOut)} more are not listed.`;
    return left && h('p', { class: 'empty-rows muted' }, left);
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {number} limit
   * @param {AbortSignal} [signal]
   */
  async function allRows(list, limit, signal) {
    const state = currentState();
    const app = state.app ?? '';
    const size = Math.min(limit, list.largest);
    const before = reply?.previous;
    const [page, previous] = await Promise.all([
      list.page(app, reply ? listParams(reply, state) : [], size, signal),
      before ? list.page(app, listParams(before, state), size, signal) : null,
    ]);
    return { ...page, rows: withPrevious(page.rows, previous) };
  }

  function toggleAll() {
    const { options } = currentState();
    navigate({ options: { ...options, all: options.all === id ? '' : id } });
  }

  async function download() {
    const list = listOf();
    if (!list) {
      return;
    }
    csv.disabled = true;
    try {
      const page = await allRows(list, list.largest);
      const columns = [list.field, 'count', ...(reply?.previous ? ['previous'] : [])];
      const rows = page.rows.map(({ value, count, previous }) => [
        value,
        count,
        ...(reply?.previous ? [previous] : []),
      ]);
      downloadCsv(`${currentState().app}-${id}.csv`, [columns, ...rows]);
      if (page.next || page.leftOut > 0) {
        notify(`The file has the first ${formatCount(rows.length)} rows.`);
      }
    } catch (error) {
      notify(describe(error));
    } finally {
      csv.disabled = false;
    }
  }
}
