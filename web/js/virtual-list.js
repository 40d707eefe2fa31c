import { h } from './dom.js';

/** Pixels of a row. */
export const ROW = 28;

/** Rows that are drawn beyond each edge of what is visible. */
const MARGIN = 8;

/** Most pixels of an element that all browsers can scroll. A longer list shows a window of it that moves along. */
const TALLEST = 8_000_000;

/** @typedef {{ index: number, height: number, element: HTMLElement }} Opened */

/**
 * A list of which only the visible rows are in the document. All rows have one height; below a row its detail may be open, of
 * any height.
 */
export class VirtualList {
  /**
   * @param {{
   *   label: string,
   *   head: HTMLElement,
   *   row: (index: number) => HTMLElement,
   *   shown?: (last: number) => void,
   * }} options `row` makes a row; `shown` hears which row is the last one in view
   */
  constructor({ label, head, row, shown = () => {} }) {
    this.makeRow = row;
    this.shown = shown;
    this.count = 0;
    /** Pixels of the list above the window that can be scrolled. */
    this.above = 0;
    /** @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    /** @type {Opened[]} in the order of the rows */
    this.opened = [];
    this.frame = 0;
    /** The row that gets the focus back once it is drawn anew. */
    this.refocus = -1;
    this.head = head;
    this.space = h('div', { class: 'rows-space', role: 'rowgroup' });
    this.grid = h(
      'div',
      { role: 'treegrid', 'aria-label': label },
      h('div', { role: 'rowgroup', class: 'rows-head' }, head),
      this.space,
    );
    this.element = h('div', { class: 'rows' }, this.grid);
    this.element.addEventListener('scroll', () => this.later(), { passive: true });
    this.sizes = new ResizeObserver((entries) => this.measure(entries));
    this.sizes.observe(this.element);
  }

  later() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  /**
   * Sets how many rows there are.
   *
   * @param {number} count
   * @param {boolean} complete whether no more will follow
   */
  setCount(count, complete) {
    this.count = count;
    this.opened = this.opened.filter((each) => each.index < count || void this.discard(each));
    this.grid.setAttribute('aria-rowcount', String(complete ? count + 1 : -1));
    this.later();
  }

  /** Draws every row anew, since what it shows has changed. */
  refresh() {
    for (const [index, element] of this.drawn) {
      this.refocus = element.contains(document.activeElement) ? index : this.refocus;
      element.remove();
    }
    this.drawn.clear();
    this.later();
  }

  /** Closes all rows and goes to the top, for another list. */
  reset() {
    for (const each of this.opened.splice(0)) {
      this.discard(each);
    }
    this.above = 0;
    this.element.scrollTop = 0;
    this.refresh();
  }

  /**
   * Makes room for new rows. What is in view stays where it is, unless the list is at its top.
   *
   * @param {number} at
   * @param {number} added
   */
  insert(at, added) {
    const moves = this.top() > 0 && at <= this.indexAt(this.top());
    this.drawn = new Map([...this.drawn].map(([index, element]) => [index < at ? index : index + added, element]));
    for (const each of this.opened) {
      each.index += each.index < at ? 0 : added;
    }
    this.count += added;
    this.resize();
    if (moves) {
      this.element.scrollTop += added * ROW;
    }
    this.later();
  }

  /** Pixels of the list above what is visible. */
  top() {
    return this.above + this.element.scrollTop;
  }

  /** @param {number} index */
  offsetOf(index) {
    return this.opened.reduce((sum, each) => sum + (each.index < index ? each.height : 0), index * ROW);
  }

  /**
   * The row at a distance from the start of the list.
   *
   * @param {number} offset
   */
  indexAt(offset) {
    let left = offset;
    for (const { index, height } of this.opened) {
      if (left < (index + 1) * ROW) {
        break;
      }
      left = Math.max((index + 1) * ROW - 1, left - height);
    }
    return Math.max(0, Math.min(this.count - 1, Math.floor(left / ROW)));
  }

  /** @param {number} index */
  detailOf(index) {
    return this.opened.find((each) => each.index === index)?.element;
  }

  /**
   * @param {number} index
   * @param {HTMLElement} element
   */
  open(index, element) {
    this.opened.push({ index, height: 0, element });
    this.opened.sort((a, b) => a.index - b.index);
    this.sizes.observe(element);
    this.redraw(index);
  }

  /** @param {number} index */
  close(index) {
    this.opened = this.opened.filter((each) => each.index !== index || void this.discard(each));
    this.redraw(index);
  }

  /** @param {Opened} opened */
  discard({ element }) {
    this.sizes.unobserve(element);
    element.remove();
  }

  /** @param {number} index */
  redraw(index) {
    const row = this.drawn.get(index);
    this.refocus = row?.contains(document.activeElement) ? index : -1;
    row?.remove();
    this.drawn.delete(index);
    this.draw();
  }

  /** @param {ResizeObserverEntry[]} entries */
  measure(entries) {
    for (const { target } of entries) {
      const opened = this.opened.find(({ element }) => element === target);
      if (opened?.element.isConnected) {
        const grown = opened.element.offsetHeight - opened.height;
        opened.height += grown;
        // What is in view stays where it is when something above it grows.
        if (this.offsetOf(opened.index) + ROW < this.top() && this.offsetOf(opened.index + 1) - grown <= this.top()) {
          this.element.scrollTop += grown;
        }
      }
    }
    this.draw();
  }

  resize() {
    const total = this.offsetOf(this.count);
    const { scrollTop } = this.element;
    let moved = 0;
    if (scrollTop > TALLEST * 0.75 && this.above + TALLEST < total) {
      moved = TALLEST / 2;
    } else if (scrollTop < TALLEST / 8) {
      moved = -Math.min(this.above, TALLEST / 2);
    }
    this.setWindow(this.above + moved);
    if (moved) {
      this.element.scrollTop = scrollTop - moved;
    }
  }

  /** @param {number} above */
  setWindow(above) {
    this.above = above;
    this.space.style.height = `${Math.min(this.offsetOf(this.count) - above, TALLEST)}px`;
  }

  /**
   * Puts a distance from the start of the list at the upper edge, and the window around it where the list is longer.
   *
   * @param {number} offset
   */
  scrollTo(offset) {
    if (offset < this.above || offset > this.above + TALLEST * 0.75) {
      this.setWindow(Math.max(0, Math.min(offset - TALLEST / 2, this.offsetOf(this.count) - TALLEST)));
    }
    this.element.scrollTop = offset - this.above;
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.resize();
    const height = this.element.clientHeight - this.head.offsetHeight;
    const first = Math.max(0, this.indexAt(this.top()) - MARGIN);
    const last = Math.min(this.count - 1, this.indexAt(this.top() + height) + MARGIN);
    for (const [index, element] of this.drawn) {
      // A row in focus stays, or the focus would be lost.
      if ((index < first || index > last) && !element.contains(document.activeElement)) {
        element.remove();
        this.drawn.delete(index);
      }
    }
    /** @type {HTMLElement | null} */
    let next = null;
    for (let index = last; index >= first; index -= 1) {
      const detail = this.detailOf(index);
      const row = this.drawn.get(index) ?? this.makeRow(index);
      this.drawn.set(index, row);
      // In the order of the list, since readers and the tab key follow the document.
      for (const element of detail ? [detail, row] : [row]) {
        if (element.parentNode !== this.space) {
          this.space.insertBefore(element, next);
        }
        next = element;
      }
    }
    for (const [index, element] of this.drawn) {
      element.setAttribute('aria-rowindex', String(index + 2));
      element.style.top = `${this.offsetOf(index) - this.above}px`;
    }
    for (const { index, element } of this.opened) {
      element.style.top = `${this.offsetOf(index) + ROW - this.above}px`;
      if ((index < first || index > last) && !element.contains(document.activeElement)) {
        element.remove();
      }
    }
    this.drawn.get(this.refocus)?.focus({ preventScroll: true });
    this.refocus = -1;
    this.shown(last);
  }

  /**
   * Scrolls a row into view and gives it the focus.
   *
   * @param {number} index
   */
  focusRow(index) {
    const offset = this.offsetOf(index);
    const height = this.element.clientHeight - this.head.offsetHeight;
    if (offset < this.top()) {
      this.scrollTo(offset);
    } else if (offset + ROW > this.top() + height) {
      this.scrollTo(offset + ROW - height);
    }
    this.draw();
    this.drawn.get(index)?.focus({ preventScroll: true });
  }

  /**
   * The row that an element belongs to, also where it is in the detail of the row.
   *
   * @param {EventTarget | null} target
   */
  indexOf(target) {
    if (!(target instanceof Node)) {
      return -1;
    }
    const drawn = [...this.drawn].find(([, element]) => element.contains(target));
    return drawn?.[0] ?? this.opened.find(({ element }) => element.contains(target))?.index ?? -1;
  }

  end() {
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
  }
}
