import { get } from './api.js';
import { timeOfId } from './event-fields.js';

/** Events of a page of the API. The first page is half of it, since it should show soon. */
const EVENTS_A_PAGE = 200;

/** Events that are kept. Others are read again when they come into view. */
const EVENTS_KEPT = 10_000;

/** Requests after which a search without a match waits for the reader. */
const MOST_REQUESTS = 12;

/** Milliseconds after which it does. */
const LONGEST = 30_000;

/** Most events that a list holds while new ones come in. */
export const MOST_HELD = 2_000;

/** @typedef {import('./event-fields.js').TallyEvent} TallyEvent */
/** @typedef {[string, string][]} Query */

/**
 * A page that was read. `after` is the last id before it, where its query alone would begin earlier.
 *
 * @typedef {{ query: Query, after: string, count: number, last: string, items: TallyEvent[] | null, loading: boolean }} EventPage
 */

/**
 * How far a search has come.
 *
 * @typedef {{ found: number, requests: number, reached: number | null, scanned: number | null, descends: boolean, ended: boolean }} Progress
 *   `reached` is the time up to which everything was looked at, where it is known; `scanned` the events read for it;
 *   `descends` whether it goes back in time
 */

/**
 * The events of a query, page by page. It holds the cursor of each page, so that pages far from what is in view can be dropped
 * and read again: a list of a million rows needs little memory.
 */
export class EventPages {
  /**
   * @param {string} path
   * @param {Query} query
   * @param {() => void} changed a page that was dropped is here again
   * @param {number} [size] events of a page
   */
  constructor(path, query, changed, size = EVENTS_A_PAGE) {
    this.path = path;
    this.query = query;
    this.changed = changed;
    this.size = size;
    /** @type {EventPage[]} */
    this.pages = [];
    /** @type {number[]} the first row of each page */
    this.starts = [];
    this.count = 0;
    /** @type {{ query: Query, after: string } | null} */
    this.next = { query, after: '' };
    /** @type {Progress} */
    this.progress = { found: 0, requests: 0, reached: null, scanned: null, descends: this.descends(), ended: false };
    this.stopped = new AbortController();
  }

  close() {
    this.stopped.abort();
  }

  /** Whether ids fall from row to row. */
  descends() {
    return !this.query.some(([name, value]) => name === 'order' && value === 'asc');
  }

  /**
   * Reads on. A page may be short or empty although more follows: the search then goes on by itself, within a bound.
   *
   * @param {(progress: Progress) => void} tell called after each request
   * @returns {Promise<Progress>}
   */
  async more(tell) {
    const ends = Date.now() + LONGEST;
    this.progress = { ...this.progress, found: 0, requests: 0 };
    const enough = this.size / 4;
    while (this.next && this.progress.found < enough && this.progress.requests < MOST_REQUESTS && Date.now() < ends) {
      const { query, after } = this.next;
      const reply = await this.read(query, this.count === 0 ? this.size / 2 : this.size);
      const items = this.without(reply.items, after);
      if (items.length > 0) {
        const last = /** @type {TallyEvent} */ (items.at(-1)).id;
        this.pages.push({ query, after, count: items.length, last, items, loading: false });
      }
      this.next = reply.next ? { query: [['cursor', reply.next]], after: '' } : null;
      this.number();
      this.drop();
      this.progress = {
        found: this.progress.found + items.length,
        requests: this.progress.requests + 1,
        reached: reachedBy(reply) ?? this.progress.reached,
        scanned: reply.scanned === undefined ? this.progress.scanned : (this.progress.scanned ?? 0) + reply.scanned,
        descends: this.descends(),
        ended: !this.next,
      };
      tell(this.progress);
    }
    return this.progress;
  }

  /**
   * @param {Query} query
   * @param {number} limit
   */
  read(query, limit) {
    return get(this.path, [...query, ['limit', String(limit)]], this.stopped.signal);
  }

  /**
   * @param {TallyEvent[]} items
   * @param {string} after
   */
  without(items, after) {
    return after ? items.filter(({ id }) => (this.descends() ? id < after : id > after)) : items;
  }

  number() {
    this.count = 0;
    this.starts = this.pages.map(({ count }) => {
      this.count += count;
      return this.count - count;
    });
  }

  /**
   * The page of a row.
   *
   * @param {number} row
   */
  pageOf(row) {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= row) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /**
   * The event of a row; undefined while its page is read again.
   *
   * @param {number} row
   */
  at(row) {
    const at = this.pageOf(row);
    const page = this.pages[at];
    if (page && !page.items && !page.loading) {
      this.again(page);
    }
    return page?.items?.[row - (this.starts[at] ?? 0)];
  }

  /**
   * Reads a dropped page again, up to the event that it ended with.
   *
   * @param {EventPage} page
   */
  async again(page) {
    page.loading = true;
    /** @type {TallyEvent[]} */
    const items = [];
    try {
      let query = page.query;
      for (let requests = 0; requests < MOST_REQUESTS; requests += 1) {
        const reply = await this.read(query, Math.max(page.count - items.length, 1));
        items.push(...this.without(reply.items, page.after));
        if (!reply.next || (items.at(-1)?.id ?? '') === page.last) {
          break;
        }
        query = [['cursor', reply.next]];
      }
    } catch {
      // The rows stay empty, and are tried again when they come into view.
      page.loading = false;
      return;
    }
    const end = items.findIndex(({ id }) => (this.descends() ? id < page.last : id > page.last));
    page.items = end < 0 ? items : items.slice(0, end);
    page.count = page.items.length;
    page.loading = false;
    this.number();
    this.drop(this.pages.indexOf(page));
    this.changed();
  }

  /**
   * Drops the events of the pages farthest from one. The first page stays, since new events join it.
   *
   * @param {number} [near]
   */
  drop(near = this.pages.length - 1) {
    const held = this.pages.map((_, at) => at).filter((at) => at > 0 && this.pages[at]?.items);
    held.sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
    for (const at of held.slice(0, Math.max(0, held.length - EVENTS_KEPT / this.size))) {
      /** @type {EventPage} */ (this.pages[at]).items = null;
    }
  }

  /**
   * Takes new events, each to its place.
   *
   * @param {TallyEvent[]} events newest first
   * @returns {number[]} the rows where they are now, first to last
   */
  insert(events) {
    if (this.pages.length === 0) {
      this.pages.push({ query: this.query, after: '', count: 0, last: '', items: [], loading: false });
    }
    /** @type {number[]} */
    const rows = [];
    for (const event of events) {
      const found = this.pages.findIndex(({ last }) => event.id > last);
      const at = found < 0 ? this.pages.length - 1 : found;
      const page = /** @type {EventPage} */ (this.pages[at]);
      // What is older than the last row comes by the cursor, and what is in a dropped page when that is read again.
      if (!page.items || (found < 0 && this.next)) {
        continue;
      }
      const before = page.items.findIndex(({ id }) => id < event.id);
      const place = before < 0 ? page.items.length : before;
      page.items.splice(place, 0, event);
      page.count += 1;
      page.last = /** @type {TallyEvent} */ (page.items.at(-1)).id;
      this.number();
      rows.push((this.starts[at] ?? 0) + place);
    }
    return rows;
  }

  /** How many events came in that are not shown: separators among the new events say where. */
  hidden() {
    const separators = (this.pages[0]?.items ?? []).filter(({ separator }) => separator);
    return { separators: separators.length, events: separators.reduce((sum, { hidden = 0 }) => sum + hidden, 0) };
  }

  /** Holds no more than the bound, the newest. The rest is read again when somebody scrolls there. */
  trim() {
    while (this.count > MOST_HELD && this.pages.length > 1) {
      const { query, after } = /** @type {EventPage} */ (this.pages.pop());
      this.next = { query, after };
      this.number();
    }
    const first = this.pages[0];
    if (this.count > MOST_HELD && first?.items) {
      first.items.length = MOST_HELD;
      first.count = MOST_HELD;
      first.last = /** @type {TallyEvent} */ (first.items.at(-1)).id;
      const until = new Date(timeOfId(first.last) + 1).toISOString();
      this.next = { query: [...this.query.filter(([name]) => name !== 'until'), ['until', until]], after: first.last };
      this.number();
    }
  }
}

/**
 * The time up to which the search of a reply has come: as the reply says, else by the id in its cursor, if that can be read.
 *
 * @param {{ next: string | null, searched_to?: string, read_to?: string }} reply
 */
function reachedBy({ next, searched_to: searched, read_to: read }) {
  const told = searched ?? read;
  if (told) {
    return Date.parse(told);
  }
  try {
    const id = /"i":"([0-9A-HJKMNP-TV-Z]{26})"/.exec(atob((next ?? '').replace(/-/g, '+').replace(/_/g, '/')))?.[1];
    return id ? timeOfId(id) : null;
  } catch {
    return null;
  }
}
