import { fill, h } from '../dom.js';
import { issueRow } from './issue-row.js';
import { verdictMenu } from './verdict.js';

/** @typedef {import('./issue.js').Issue} Issue */

/** Milliseconds for which the times of a row are right: they are told to the minute. */
const RIGHT_FOR = 60_000;

/**
 * The rows of a list of issues. A row that shows the same as before stays, so that neither a click on it nor the focus is lost.
 *
 * @param {{
 *   select: ((issue: Issue, event: MouseEvent) => void) | null,
 *   decide: (issues: Issue[], choice: import('./verdict.js').Choice) => void,
 * }} options `select` hears the click on a checkbox; null where nothing can be changed
 */
export function issueRows({ select, decide }) {
  /** The issue that had the focus last. */
  let current = '';
  /** @type {Issue[]} */
  let visible = [];
  /** @type {Map<string, { key: string, element: HTMLElement }>} the rows by issue */
  let drawn = new Map();
  const element = h('ul', { class: 'issues', 'aria-label': 'Errors', on: { click: open, focusin: noteFocus } });
  return { element, show, hasFocus, focusOn, move, inFocus };

  /**
   * @param {Issue[]} issues
   * @param {import('../state.js').State} state
   * @param {Set<string>} selected
   */
  function show(issues, state, selected) {
    const focused = hasFocus();
    const within = document.activeElement?.className ?? '';
    const before = drawn;
    visible = issues;
    drawn = new Map(issues.map((issue) => [issue.id, rowOf(issue, before.get(issue.id), state, selected)]));
    const rows = [...drawn.values()].map(({ element: each }) => each);
    if (rows.length !== element.children.length || rows.some((each, at) => each !== element.children[at])) {
      fill(element, rows);
      if (focused) {
        focusOn(current, within);
      }
    }
  }

  /**
   * @param {Issue} issue
   * @param {{ key: string, element: HTMLElement } | undefined} old
   * @param {import('../state.js').State} state
   * @param {Set<string>} selected
   */
  function rowOf(issue, old, state, selected) {
    const key = JSON.stringify([issue, state, Math.floor(Date.now() / RIGHT_FOR)]);
    if (old?.key === key) {
      return old;
    }
    const of = issue.name ?? issue.title.slice(0, 100);
    const row = issueRow(issue, {
      state,
      selected: selected.has(issue.id),
      select: select && ((event) => select(issue, event)),
      menu: select && verdictMenu(() => [issue], decide, { of, class: 'quiet' }),
    });
    return { key, element: row };
  }

  /**
   * A click beside the parts of a row opens it.
   *
   * @param {MouseEvent} event
   */
  function open(event) {
    const target = /** @type {Element} */ (event.target);
    if (!target.closest('a, button, input, label, .menu') && getSelection()?.isCollapsed) {
      target.closest('li')?.querySelector('a')?.click();
    }
  }

  /** @param {FocusEvent} event */
  function noteFocus({ target }) {
    current = /** @type {Element} */ (target).closest('li')?.dataset.id ?? current;
  }

  function hasFocus() {
    return element.contains(document.activeElement);
  }

  /** The issue that has the focus, or had it last. */
  function inFocus() {
    return visible.find(({ id }) => id === current);
  }

  /**
   * @param {string} id
   * @param {string} [within] the class of the element of the row, where it is not the link
   */
  function focusOn(id, within) {
    const row = drawn.get(id)?.element;
    const parts = [...(row?.querySelectorAll('a, button, input') ?? [])];
    const target = (within && parts.find((each) => each.className === within)) || row?.querySelector('.issue-link');
    if (target instanceof HTMLElement) {
      target.focus({ preventScroll: true });
      row?.scrollIntoView({ block: 'nearest' });
    }
  }

  /** @param {number} step */
  function move(step) {
    const at = visible.findIndex(({ id }) => id === current);
    const next = visible[at < 0 ? 0 : hasFocus() ? at + step : at];
    if (next) {
      focusOn(next.id);
    }
  }
}
