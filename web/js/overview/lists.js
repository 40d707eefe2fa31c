import { appPath, get } from '../api.js';
import { groupTexts } from '../filter-text.js';
import { COUNTED_FIELDS } from '../page.js';
import { filterParams } from '../state.js';
import { GONE } from './count-table.js';

/**
 * One row of a table.
 *
 * @typedef {{
 *   value: string | null, count: number, previous?: number | null, level?: string | null, seen?: string, countable?: boolean,
 *   group?: string | undefined,
 * }} Row `group` is what a message is filtered by
 */

/**
 * What a table lists. `rows` takes its first rows out of the overview, if they are there; `page` reads all of them.
 *
 * @typedef {{
 *   id: string,
 *   title: string,
 *   field: string,
 *   rows: (reply: import('./reply.js').Overview) => Row[] | null,
 *   page: (app: string, params: [string, string][], limit: number, signal?: AbortSignal) => Promise<RowPage>,
 *   largest: number,
 *   knows: string[] | null,
 * }} List `largest` is the most rows that one request may ask for; `knows` are the fields by which all rows can be filtered, null
 *   for any
 *
 * @typedef {{
 *   rows: Row[], next: string | null, complete: boolean, leftOut: number, coveredSince: string | null,
 * }} RowPage
 */

/**
 * @param {string} statistic
 * @param {string} key the field of an item that holds its value
 * @returns {List['page']}
 */
function pages(statistic, key) {
  return async (app, params, limit, signal) => {
    const reply = await get(appPath(app, 'stats', statistic), [...params, ['limit', String(limit)]], signal);
    return {
      rows: reply.items.map((/** @type {any} */ item) => ({
        value: item[key],
        count: item.count,
        level: item.level,
        seen: item.last_seen,
        group: known(item),
      })),
      next: reply.next ?? null,
      complete: reply.complete !== false,
      leftOut: reply.left_out?.items ?? 0,
      coveredSince: reply.covered_since ?? null,
    };
  };
}

/**
 * The group of a message, whose text is kept for the chip of a filter.
 *
 * @param {{ message: string, group: string }} item
 * @returns {string | undefined}
 */
function known({ message, group }) {
  if (group && !GONE.includes(message)) {
    groupTexts.set(group, message);
  }
  return group;
}

/**
 * A name is listed once for each of its slugs.
 *
 * @param {(import('./reply.js').Counted & { name: string })[]} items
 * @returns {Row[]}
 */
function sumByName(items) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const { name, count, previous } of items) {
    const row = rows.get(name);
    if (!row) {
      rows.set(name, previous === undefined ? { value: name, count } : { value: name, count, previous });
    } else {
      row.count += count;
      row.previous = previous === undefined ? row.previous : (row.previous ?? 0) + previous;
    }
  }
  return [...rows.values()].sort((a, b) => b.count - a.count);
}

/** @type {List} */
export const NAMES = {
  id: 'names',
  title: 'Names',
  field: 'name',
  rows: ({ names }) => sumByName(names.items),
  page: pages('by-name', 'name'),
  largest: 100_000,
  knows: COUNTED_FIELDS,
};

/** @type {List} */
export const MESSAGES = {
  id: 'messages',
  title: 'Messages',
  field: 'message',
  rows: ({ messages }) =>
    messages?.map(({ message, count, previous, level, last_seen: seen, group }) => ({
      value: message,
      group: known({ message, group }),
      count,
      level,
      ...(previous === undefined ? {} : { previous }),
      ...(seen === undefined ? {} : { seen }),
    })) ?? null,
  page: pages('top-messages', 'message'),
  largest: 100,
  knows: ['level', 'group'],
};

/** @type {List} */
export const CATEGORIES = {
  id: 'categories',
  title: 'Categories',
  field: 'category',
  rows: ({ categories }) => categories?.map(({ category, ...rest }) => ({ value: category, ...rest })) ?? null,
  page: pages('by-category', 'category'),
  largest: 100_000,
  knows: COUNTED_FIELDS,
};

/**
 * The values of one property. The overview does not hold them.
 *
 * @param {string} path
 * @returns {List}
 */
export function propertyList(path) {
  const page = pages('groups', 'value');
  return {
    id: 'property',
    title: 'Property',
    field: `attr.${path}`,
    rows: () => null,
    page: (app, params, limit, signal) => page(app, [['attr', path], ...params], limit, signal),
    largest: 1000,
    knows: null,
  };
}

/**
 * The range of an overview and its filters, exactly, so that a table has the numbers of the cards.
 *
 * @param {{ since: string, until: string }} range
 * @param {import('../state.js').State} state
 * @returns {[string, string][]}
 */
export function listParams({ since, until }, { filters }) {
  return [['since', since], ['until', until], ...filterParams(filters)];
}

/**
 * Adds the counts of the period before.
 *
 * @param {Row[]} rows
 * @param {RowPage | null} before
 */
export function withPrevious(rows, before) {
  if (!before) {
    return rows;
  }
  const counts = new Map(before.rows.map(({ value, count }) => [value, count]));
  const all = before.next === null && before.leftOut === 0 && before.coveredSince === null;
  return rows.map((row) => ({ ...row, previous: counts.get(row.value) ?? (all ? 0 : null) }));
}
