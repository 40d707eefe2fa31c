import { fill, h } from './dom.js';
import { marked } from './text-search.js';
import { valueButton } from './value.js';

/** Children that a branch shows at once. */
const AT_ONCE = 100;

/** Characters of a leaf that show at once. */
const LEAF = 300;

/** Branches with fewer children than this are open from the start, unless they lie deep. */
const SMALL = 12;

/** Characters that a filter in the URL cannot have in its name. */
const NO_PATH = /[[\]]/;

/**
 * A value as a tree. The children of a branch are made when it opens, so a large value costs no more than what is seen of it.
 *
 * @param {unknown} value
 * @param {string | null} path the field that filters by it, such as `attr.plan`; null where the API has no filter
 * @param {number} [depth]
 * @returns {HTMLElement}
 */
export function tree(value, path, depth = 0) {
  const list = h('ul', { class: 'tree' });
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  showEntries(0);
  return list;

  /** @param {number} from */
  function showEntries(from) {
    const shown = entries.slice(from, from + AT_ONCE);
    list.append(...shown.map(([key, child]) => treeEntry(key, child, childPath(key), depth)));
    const left = entries.length - from - shown.length;
    if (left > 0) {
      const more = h('button', { type: 'button', class: 'quiet' }, `Show ${Math.min(left, AT_ONCE)} of ${left} more`);
      const item = h('li', null, more);
      more.addEventListener('click', () => {
        item.remove();
        showEntries(from + AT_ONCE);
      });
      list.append(item);
    }
  }

  /** @param {string} key */
  function childPath(key) {
    return path === null || NO_PATH.test(key) ? null : `${path}.${key}`;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 * @param {string | null} path
 * @param {number} depth
 */
function treeEntry(key, value, path, depth) {
  if (typeof value !== 'object' || value === null) {
    return h('li', null, h('span', { class: 'key' }, key), leaf(value, path));
  }
  const size = Object.keys(value).length;
  const summary = Array.isArray(value) ? `[${size}]` : `{${size}}`;
  if (size === 0) {
    return h('li', null, h('span', { class: 'key' }, key), h('span', { class: 'muted' }, summary));
  }
  const button = h(
    'button',
    { type: 'button', class: 'branch', 'aria-expanded': 'false', on: { click: toggle } },
    h('span', { class: 'key' }, key),
    h('span', { class: 'muted' }, summary),
  );
  const item = h('li', null, button);
  if (depth === 0 && size < SMALL) {
    toggle();
  }
  return item;

  function toggle() {
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) {
      button.nextSibling?.remove();
    } else {
      item.append(tree(value, path, depth + 1));
    }
  }
}

/**
 * A single value: with actions that filter, exclude and copy, or copy alone. A long one is cut until it is asked for.
 *
 * @param {unknown} value
 * @param {string | null} path
 */
export function leaf(value, path) {
  const text = String(value);
  const holder = h('span', { class: `leaf ${typeof value}` }, show(text.slice(0, LEAF)));
  if (text.length > LEAF) {
    const all = h('button', { type: 'button', class: 'quiet' }, `… show all ${text.length} characters`);
    all.addEventListener('click', () => fill(holder, show(text)));
    holder.append(all);
  }
  return holder;

  /** @param {string} part */
  function show(part) {
    const label = h('bdi', null, part === '' ? '""' : marked(part));
    // The API takes 256 bytes of a value in a filter at least, and a URL has an end.
    return path !== null && text !== '' && text.length <= 1024
      ? valueButton(path, text, { label })
      : h('button', { type: 'button', class: 'value', title: 'Copy', dataset: { copy: text } }, label);
  }
}
