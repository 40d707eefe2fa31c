import { maySeeData, maySeePeople } from './page.js';

/** The fields of an event, and which of them a list shows as columns. */

/**
 * An event as the API has it. One with a `separator` is no event but a text between rows, which
 * may stand for some that are hidden.
 *
 * @typedef {{
 *   id: string,
 *   name: string,
 *   timestamp: string,
 *   received_at: string,
 *   count: number,
 *   level?: string,
 *   message?: string,
 *   session_id?: string,
 *   user_id?: string,
 *   data?: unknown,
 *   tags?: unknown,
 *   stack?: unknown,
 *   separator?: string,
 *   hidden?: number,
 *   [field: string]: unknown,
 * }} TallyEvent
 */

/** The columns after time and level, which are always there. */
export const DEFAULT_COLUMNS = ['name', 'message', 'user_id', 'session_id'];

/** Every column that needs no path. */
export const FIELD_COLUMNS = [
  ...DEFAULT_COLUMNS,
  'category',
  'slug',
  'count',
  'fingerprint',
  'id',
  'client_id',
  'received_at',
];

/** Most columns that a reader may choose. */
const MOST_COLUMNS = 12;

/** Where columns of an app are kept, besides the URL. */
const STORED = 'tally.columns.';

/**
 * Whether a reader may see a field at all.
 *
 * @param {import('./page.js').Account} account
 * @param {string} field
 */
export function maySeeField(account, field) {
  if (/^(user_id|session_id|client_id)$/.test(field)) {
    return maySeePeople(account);
  }
  return !/^(attr|tags)\./.test(field) || maySeeData(account);
}

/**
 * The columns of a state: those of its URL, else those last chosen for the app, else the usual ones.
 *
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 */
export function columnsOf(state, account) {
  const chosen = state.options.columns ?? storedColumns(state.app);
  const columns = chosen ? chosen.split(',').filter(isColumn) : [];
  const usable = [...new Set(columns.length > 0 ? columns : DEFAULT_COLUMNS)].slice(0, MOST_COLUMNS);
  return usable.filter((field) => maySeeField(account, field));
}

/**
 * Whether a text names a column: a field, `attr.PATH` or `tags.PATH`.
 *
 * @param {string} text
 */
export function isColumn(text) {
  return FIELD_COLUMNS.includes(text) || /^(attr|tags)\.[^,]+$/.test(text);
}

/**
 * Keeps the columns of an app for the next visit. Without storage, the URL alone holds them.
 *
 * @param {string | null} app
 * @param {string[]} columns
 */
export function storeColumns(app, columns) {
  try {
    localStorage.setItem(`${STORED}${app}`, columns.join(','));
  } catch {
    // A browser may refuse storage.
  }
}

/** @param {string | null} app */
function storedColumns(app) {
  try {
    return localStorage.getItem(`${STORED}${app}`);
  } catch {
    return null;
  }
}

/**
 * What an event has in a column.
 *
 * @param {TallyEvent} event
 * @param {string} field
 */
export function fieldValue(event, field) {
  const [, root, path] = /^(attr|tags)\.(.+)$/s.exec(field) ?? [];
  return path === undefined ? event[field] : valueAtPath(root === 'tags' ? event.tags : event.data, path);
}

/**
 * What lies at a path of keys and list indexes. A key may hold dots itself: as in the API, the shortest key is tried first.
 *
 * @param {unknown} value
 * @param {string} path
 * @returns {unknown}
 */
function valueAtPath(value, path) {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const fields = /** @type {Record<string, unknown>} */ (value);
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const found = Object.hasOwn(fields, path.slice(0, dot))
      ? valueAtPath(fields[path.slice(0, dot)], path.slice(dot + 1))
      : undefined;
    if (found !== undefined) {
      return found;
    }
  }
  return Object.hasOwn(fields, path) ? fields[path] : undefined;
}

/**
 * A value as one line of text.
 *
 * @param {unknown} value
 */
export function inlineText(value) {
  return typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * The milliseconds that the id of an event begins with. Events are in the order of their ids.
 *
 * @param {string} id a ULID
 */
export function timeOfId(id) {
  return [...id.slice(0, 10)].reduce((time, letter) => time * 32 + BASE32.indexOf(letter), 0);
}
