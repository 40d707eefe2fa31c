import { fill, h } from './dom.js';
import { issueList } from './errors/issue-list.js';
import { issuePage } from './errors/issue-page.js';
import { loadSheet } from './later.js';
import { setFilterable } from './value.js';

/** The part of the page that shows errors: a list of issues, and one issue. */

/**
 * @param {import('./state.js').State} first
 * @param {import('./page.js').Account} account
 * @returns {import('./page.js').Page}
 */
export function errorsPage(first, account) {
  let state = first;
  /** @type {ReturnType<typeof issueList> | null} */
  let list = null;
  /** @type {ReturnType<typeof issuePage> | null} */
  let issue = null;
  let scrolled = 0;
  let closed = false;
  const element = h('div', { class: 'page errors-page' });
  // Values are read here: the list and the issue know no filter by them.
  setFilterable(() => false);
  loadSheet('errors.css').then(() => closed || show());
  return { element, update, close };

  /** @param {import('./state.js').State} next */
  function update(next) {
    state = next;
    if (list || issue) {
      show();
    }
  }

  function show() {
    const id = state.options.issue;
    if (issue && issue.id !== id) {
      issue.close();
      issue = null;
    }
    if (id) {
      if (!issue) {
        scrolled = list?.element.isConnected ? scrollY : scrolled;
        list?.hide();
        issue = issuePage(id, account);
        issue.update(state);
        fill(element, issue.element);
        scrollTo(0, 0);
      } else {
        issue.update(state);
      }
      return;
    }
    list ??= issueList(account);
    document.title = `Errors · ${state.app} · Tally`;
    list.update(state);
    if (!list.element.isConnected) {
      fill(element, h('h1', { class: 'hidden-text' }, 'Errors'), list.element);
      // "Back" shows the list where it was left.
      scrollTo(0, scrolled);
    }
  }

  function close() {
    closed = true;
    list?.close();
    issue?.close();
  }
}
