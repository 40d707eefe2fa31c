import { parseState, SEARCH } from './state.js';

/**
 * Who uses the page: a signed-in user, or whoever has a share link.
 *
 * @typedef {{ kind: 'user', user: string, role: 'admin' | 'reader', expires_at: string }} User
 * @typedef {{
 *   kind: 'key', app: string, label: string | null, expires_at: string | null, view: string | null,
 *   filter: Record<string, string[]> | null, hide: string[], statistics_only: boolean, chart: string | null,
 * }} Visitor
 * @typedef {User | Visitor} Account
 */

/**
 * One page. `update` is called with each new state of the same app and view; `close` when another page takes its place.
 *
 * @typedef {{ element: HTMLElement, update: (state: import('./state.js').State) => void, close: () => void }} Page
 */

/**
 * A view of an app, or of no app.
 *
 * @typedef {{
 *   view: string,
 *   title: string,
 *   tab: boolean,
 *   allowed: (account: Account) => boolean,
 *   open: (state: import('./state.js').State, account: Account) => Page,
 * }} View `tab` puts it into the bar
 */

/**
 * @param {Account} account
 */
export function isAdmin(account) {
  return account.kind === 'user' && account.role === 'admin';
}

/**
 * Whether errors may be seen. A key with any bound is told nothing of them.
 *
 * @param {Account} account
 */
export function maySeeIssues(account) {
  return account.kind === 'user' || !(account.filter || account.statistics_only || account.hide.length > 0);
}

/**
 * Whether events may be seen one by one.
 *
 * @param {Account} account
 */
export function maySeeEvents(account) {
  return account.kind === 'user' || !account.statistics_only;
}

/**
 * Whether users, sessions and messages, which may name people, may be seen.
 *
 * @param {Account} account
 */
export function maySeePeople(account) {
  return account.kind === 'user' || !(account.statistics_only || account.hide.includes('people'));
}

/**
 * Whether data, tags and stacks may be seen.
 *
 * @param {Account} account
 */
export function maySeeData(account) {
  return account.kind === 'user' || !(account.statistics_only || account.hide.includes('data'));
}

/** What a key of statistics alone may filter by, as the API says. */
export const COUNTED_FIELDS = ['name', 'slug', 'category', 'level', 'group'];

/**
 * The filters of the key of a visitor, which the server adds to the visitor's own.
 *
 * @param {Account} account
 * @returns {import('./state.js').Filter[]}
 */
export function keyFilters(account) {
  if (account.kind === 'user' || !account.filter) {
    return [];
  }
  const params = Object.entries(account.filter).flatMap(([name, values]) => values.map((value) => [name, value]));
  return parseState(new URLSearchParams(params).toString()).filters;
}

/**
 * Whether a field may be filtered.
 *
 * @param {Account} account
 * @param {string} field
 */
export function mayFilter(account, field) {
  if (account.kind === 'user') {
    return true;
  }
  if (account.statistics_only) {
    return COUNTED_FIELDS.includes(field);
  }
  if (field === SEARCH) {
    return maySeePeople(account) && maySeeData(account);
  }
  return field.startsWith('attr.') || field === 'fingerprint'
    ? maySeeData(account)
    : !/^message$|_id$/.test(field) || maySeePeople(account);
}
