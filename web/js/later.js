import { h } from './dom.js';

/** What more than one view loads later. */

/** @type {Map<string, Promise<unknown>>} */
const sheets = new Map();

/**
 * Loads a style sheet beside that of the page, once. A page without it is better than none.
 *
 * @param {string} name
 */
export function loadSheet(name) {
  const found = sheets.get(name);
  if (found) {
    return found;
  }
  const loaded = new Promise((resolve) => {
    const main = document.querySelector('link[rel="stylesheet"]');
    const href = (main?.getAttribute('href') ?? '').replace(/[^/]+$/, name);
    document.head.append(h('link', { rel: 'stylesheet', href, on: { load: resolve, error: resolve } }));
  });
  sheets.set(name, loaded);
  return loaded;
}

/** Loads the part about alert rules: their page, and the form that the page of errors opens. */
export function alertsPart() {
  return import('./alerts.js');
}

/** Loads the part about people: their page, and that of their visits, which share charts and notes. */
export function peoplePart() {
  return import('./people.js');
}
