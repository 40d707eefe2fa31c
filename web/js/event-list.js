import { fill, h } from './dom.js';
import { eventDetail } from './event-detail.js';
import { columnWidths, eventRow, headRow } from './event-row.js';
import { registerKeys } from './keys.js';
import { VirtualList } from './virtual-list.js';

/** @typedef {import('./event-fields.js').TallyEvent} TallyEvent */

/**
 * A list of events: rows that open in place, moved through by keys.
 */
export class EventList {
  /**
   * @param {{
   *   label: string,
   *   account: import('./page.js').Account,
   *   at: (row: number) => TallyEvent | undefined,
   *   after?: (row: number) => string,
   *   shown: (last: number) => void,
   *   touched?: () => void,
   * }} options `at` is the event of a row, `after` what its column of this name has; `shown` hears the last row in view; `touched` hears that somebody reads: scrolled,
   *   selected or opened something
   */
  constructor({ label, account, at, after = () => '', shown, touched = () => {} }) {
    this.account = account;
    this.at = at;
    this.after = after;
    this.touched = touched;
    this.shown = shown;
    /** @type {import('./state.js').State | null} */
    this.state = null;
    /** The row in focus last. */
    this.focused = 0;
    /** @type {string[]} */
    this.columns = [];
    this.head = h('div', { role: 'row', class: 'event-head' });
    this.list = new VirtualList({
      label,
      head: this.head,
      row: (index) => this.row(index),
      shown: (last) => this.drew(last),
    });
    this.element = this.list.element;
    this.element.addEventListener('scroll', () => this.list.top() > 0 && touched(), { passive: true });
    this.element.addEventListener('click', (event) => this.click(event));
    this.element.addEventListener('keydown', (event) => this.key(event));
    this.select = () => this.selects() && touched();
    document.addEventListener('selectionchange', this.select);
    this.unregister = registerKeys([
      { key: 'j', label: 'Next event', run: () => this.move(1) },
      { key: 'k', label: 'Event before', run: () => this.move(-1) },
      { key: 'Enter', label: 'Open or close the event in focus' },
      { key: 'Escape', label: 'Close the open event', run: () => this.closeOpen() },
    ]);
  }

  close() {
    this.unregister();
    document.removeEventListener('selectionchange', this.select);
    this.list.end();
  }

  /**
   * @param {import('./state.js').State} state
   * @param {string[]} columns
   */
  update(state, columns) {
    const old = this.state;
    const same =
      state.tz === old?.tz && state.options.event === old.options.event && `${columns}` === `${this.columns}`;
    this.state = state;
    if (same) {
      return;
    }
    this.columns = columns;
    fill(this.head, headRow(columns));
    this.element.style.setProperty('--columns', columnWidths(columns));
    const few = columns.filter((field) => !/^(user|session)_id$/.test(field));
    this.element.style.setProperty('--columns-narrow', columnWidths(few, true));
    this.list.refresh();
  }

  /**
   * Makes room for new events, which are in their rows already.
   *
   * @param {number[]} rows first to last
   */
  insert(rows) {
    for (let at = 0; at < rows.length; ) {
      const row = rows[at] ?? 0;
      let run = 1;
      while (rows[at + run] === row + run) {
        run += 1;
      }
      this.list.insert(row, run);
      this.focused += row <= this.focused && this.list.indexOf(document.activeElement) >= 0 ? run : 0;
      at += run;
    }
  }

  /** Whether text of the list is selected. */
  selects() {
    const selection = getSelection();
    return selection !== null && !selection.isCollapsed && this.element.contains(selection.anchorNode);
  }

  /** @param {number} index */
  row(index) {
    const event = this.at(index);
    const row = eventRow(event, this.columns, {
      tz: this.state?.tz ?? 'UTC',
      open: this.list.detailOf(index) !== undefined,
      after: this.after(index),
    });
    row.classList.toggle('marked', event !== undefined && event.id === this.state?.options.event);
    return row;
  }

  /**
   * Keeps one stop of the tab key among the rows in the document: the one in focus last, else the first in view.
   *
   * @param {number} last
   */
  drew(last) {
    const { drawn } = this.list;
    const stop = drawn.has(this.focused) ? this.focused : this.list.indexAt(this.list.top());
    for (const [index, row] of drawn) {
      row.tabIndex = index === stop ? 0 : -1;
    }
    this.shown(last);
  }

  /** @param {number} index */
  focus(index) {
    this.focused = index;
    this.list.focusRow(index);
  }

  /** @param {number} step */
  move(step) {
    const current = this.list.indexOf(document.activeElement);
    // Nothing in focus yet: the first row in view.
    let next = current < 0 ? this.list.indexAt(this.list.top()) : current + step;
    while (this.at(next)?.separator) {
      next += step;
    }
    if (next >= 0 && next < this.list.count) {
      this.focus(next);
    }
  }

  /** @param {number} index */
  toggle(index) {
    const event = this.at(index);
    if (!event || event.separator || !this.state) {
      return;
    }
    if (this.list.detailOf(index)) {
      this.list.close(index);
    } else {
      this.touched();
      this.list.open(index, eventDetail(event, this.state, this.account));
    }
  }

  closeOpen() {
    const current = this.list.indexOf(document.activeElement);
    const index = this.list.detailOf(current) ? current : this.list.opened.at(-1)?.index;
    if (index !== undefined) {
      this.list.close(index);
      this.focus(index);
    }
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {Element} */ (event.target);
    const row = target.closest('.event');
    if (row && !target.closest('button, a') && !this.selects()) {
      const index = this.list.indexOf(row);
      this.focus(index);
      this.toggle(index);
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = target.closest('.event');
    if (!row || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const buttons = [...row.querySelectorAll('button')];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (target));
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      ArrowRight: () => buttons[at + 1]?.focus(),
      ArrowLeft: () => /** @type {HTMLElement} */ (at > 0 ? buttons[at - 1] : row).focus(),
      Home: () => this.focus(0),
      End: () => this.focus(this.list.count - 1),
    };
    if (target === row) {
      moves.Enter = () => this.toggle(this.list.indexOf(row));
    }
    const run = moves[event.key];
    if (run) {
      event.preventDefault();
      event.stopPropagation();
      run();
    }
  }
}
