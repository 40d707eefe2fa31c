import { h } from '../dom.js';

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
    h('thead', null, h('tr', null, columns.map(headCell))),
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

/** @param {string} column */
function headCell(column) {
  return h('th', { scope: 'col' }, column || h('span', { class: 'offscreen' }, 'Actions'));
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
 * @param {...import('../dom.js').Child} buttons
 */
export function tabHead(title, about, ...buttons) {
  return h(
    'div',
    { class: 'tab-head' },
    h('div', null, h('h2', null, title), h('p', { class: 'muted' }, about)),
    h('div', { class: 'buttons' }, buttons),
  );
}
