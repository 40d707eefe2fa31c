import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { Panel } from '../panel.js';

/**
 * A table of a tab, whose rows become cards where it is narrow.
 *
 * @param {string} label
 * @param {string[]} columns
 * @param {import('../dom.js').Child[][]} rows
 * @param {string} empty what is said without rows
 */
export function listTable(label, columns, rows, empty) {
  if (rows.length === 0) {
    return h('p', { class: 'nothing' }, empty);
  }
  return h(
    'table',
    { class: 'list', 'aria-label': label },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        columns.map((column, index) => headCell(column, rows[0]?.[index])),
      ),
    ),
    h(
      'tbody',
      null,
      rows.map((cells) =>
        h(
          'tr',
          null,
          cells.map((cell, index) => bodyCell(cell, columns[index])),
        ),
      ),
    ),
  );
}

/**
 * @param {string} column
 * @param {import('../dom.js').Child} first the cell below, whose numbers it is aligned with
 */
function headCell(column, first) {
  const name = first instanceof Element && first.matches('.number') ? 'number' : '';
  return h('th', { scope: 'col', class: name }, column || h('span', { class: 'offscreen' }, 'Actions'));
}

/** @param {number} count */
export function numberCell(count) {
  return h('span', { class: 'number' }, formatExact(count));
}

/**
 * @param {import('../dom.js').Child} cell
 * @param {string | undefined} column
 */
function bodyCell(cell, column) {
  return h('td', { dataset: { column: column ?? '' } }, cell);
}

/**
 * A text that is cut by its column, whole in its title.
 *
 * @param {string} text
 * @param {string} [name] a class
 */
export function cut(text, name = '') {
  return h('span', { class: `cut ${name}`, title: text, dir: 'auto' }, text);
}

/**
 * The head of a tab: its title, what it is about, and its buttons.
 *
 * @param {string} title
 * @param {import('../dom.js').Child} about
 * @param {import('../dom.js').Child} [buttons]
 */
export function tabHead(title, about, buttons) {
  return h(
    'div',
    { class: 'tab-head' },
    h('div', null, h('h2', null, title), h('p', { class: 'muted' }, about)),
    h('div', { class: 'buttons' }, buttons),
  );
}

/**
 * A tab with a list. Its head stays while the list is read again.
 *
 * @template T
 * @param {{
 *   title: string,
 *   about: import('../dom.js').Child,
 *   button?: (load: () => void) => HTMLButtonElement,
 *   read: (signal: AbortSignal) => Promise<T[]>,
 *   columns: string[],
 *   row: (item: T, load: () => void) => import('../dom.js').Child[],
 *   empty: string,
 *   after?: () => import('../dom.js').Child,
 * }} options `load` reads the list again; `after` is what stands below it
 * @returns {import('../pages/settings.js').Tab & { load: () => void }}
 */
export function listTab({ title, about, button, read, columns, row, empty, after }) {
  const panel = new Panel({ what: title });
  panel.element.prepend(tabHead(title, about, button?.(load)));
  load();
  return { element: panel.element, close: () => panel.close(), load };

  function load() {
    panel.show(read, (items) => [
      listTable(
        title,
        columns,
        items.map((item) => row(item, load)),
        empty,
      ),
      after?.(),
    ]);
  }
}
