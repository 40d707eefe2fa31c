/** @typedef {import('./issue.js').Issue} Issue */

/**
 * The issues of a list that are selected.
 *
 * @param {() => Issue[]} shown
 * @param {() => void} changed
 */
export function issueSelection(shown, changed) {
  /** @type {Set<string>} */
  const ids = new Set();
  /** The issue that was selected last: Shift selects from it on. */
  let anchor = '';
  return { ids, chosen, only, toggle, press };

  function chosen() {
    return shown().filter(({ id }) => ids.has(id));
  }

  /**
   * Selects some and no others.
   *
   * @param {Issue[]} issues
   */
  function only(issues) {
    ids.clear();
    set(issues, true);
  }

  /** @param {Issue} issue */
  function toggle(issue) {
    anchor = issue.id;
    set([issue], !ids.has(issue.id));
  }

  /**
   * The click on a checkbox: with Shift it takes the span from the last one.
   *
   * @param {Issue} issue
   * @param {MouseEvent} event
   */
  function press(issue, event) {
    const all = shown();
    const from = all.findIndex(({ id }) => id === anchor);
    const to = all.indexOf(issue);
    const span = event.shiftKey && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [issue];
    anchor = issue.id;
    set(span, /** @type {HTMLInputElement} */ (event.currentTarget).checked);
  }

  /**
   * @param {Issue[]} issues
   * @param {boolean} on
   */
  function set(issues, on) {
    for (const { id } of issues) {
      ids[on ? 'add' : 'delete'](id);
    }
    changed();
  }
}
