import { h } from '../dom.js';
import { inlineText } from '../event-fields.js';
import { formatMillis, formatTime } from '../format.js';
import { leaf } from '../tree.js';

/** Breadcrumbs that show at once, the newest, and most that are shown at all. */
const NEWEST = 20;
const MOST_CRUMBS = 500;

/**
 * What happened before an event, as its client noted it: the newest last.
 *
 * @param {unknown} data the data of the event
 * @param {string} tz
 * @returns {HTMLElement | null} null where there are none
 */
export function breadcrumbList(data, tz) {
  const crumbs = breadcrumbsOf(data).slice(-MOST_CRUMBS);
  if (crumbs.length === 0) {
    return null;
  }
  const list = h('ol', { class: 'crumbs' });
  const hidden = crumbs.slice(0, -NEWEST);
  if (hidden.length > 0) {
    const show = h('button', { type: 'button', class: 'quiet' }, `Show ${hidden.length} before`);
    const item = h('li', { class: 'crumb' }, show);
    show.addEventListener('click', () => item.replaceWith(...hidden.map((crumb) => crumbItem(crumb, tz))));
    list.append(item);
  }
  list.append(...crumbs.slice(-NEWEST).map((crumb) => crumbItem(crumb, tz)));
  return list;
}

/**
 * The breadcrumbs of some data: a list, or an object that holds it as `values`.
 *
 * @param {unknown} data
 * @returns {Record<string, unknown>[]}
 */
function breadcrumbsOf(data) {
  const found = /** @type {any} */ (data)?.breadcrumbs;
  const list = Array.isArray(found) ? found : found?.values;
  return Array.isArray(list) ? list.filter(hasEntries) : [];
}

/**
 * Data without its breadcrumbs, which have a place of their own.
 *
 * @param {unknown} data
 */
export function withoutBreadcrumbs(data) {
  if (breadcrumbsOf(data).length === 0) {
    return data;
  }
  const { breadcrumbs: _, ...others } = /** @type {Record<string, unknown>} */ (data);
  return others;
}

/**
 * @param {Record<string, unknown>} crumb
 * @param {string} tz
 */
function crumbItem({ timestamp, category, type, level, message, data }, tz) {
  const kind = category ?? type ?? '';
  const parts = [message, hasEntries(data) ? inlineText(data) : null].filter(
    (part) => part !== null && part !== undefined,
  );
  return h(
    'li',
    { class: `crumb ${/^(error|fatal|critical)$/.test(String(level)) ? 'bad' : ''}` },
    timeOf(timestamp, tz),
    h('bdi', { class: 'crumb-kind cut', title: String(kind) }, String(kind)),
    h(
      'span',
      { class: 'crumb-text' },
      parts.map((part, at) => [
        at > 0 && ' ',
        at === 0 && message ? leaf(part, null) : h('span', { class: 'muted' }, leaf(part, null)),
      ]),
    ),
  );
}

/** @param {unknown} data */
function hasEntries(data) {
  return typeof data === 'object' && data !== null && Object.keys(data).length > 0;
}

/**
 * @param {unknown} time seconds, or a text
 * @param {string} tz
 */
function timeOf(time, tz) {
  const at = typeof time === 'number' ? time * 1000 : Date.parse(String(time));
  return Number.isNaN(at) || Math.abs(at) > 8.64e15
    ? h('span', { class: 'crumb-time' }, '')
    : h(
        'time',
        { class: 'crumb-time mono', title: formatTime(at, tz, 'full') },
        formatTime(at, tz, 'second'),
        h('span', { class: 'muted' }, formatMillis(at)),
      );
}
