import { ApiError, get, serverNow } from './api.js';
import { fill, h } from './dom.js';
import { timeOfId } from './event-fields.js';
import { formatCount, formatTime } from './format.js';
import { currentState } from './state.js';

/** Most new events that are drawn for one poll. */
const LIVE_DRAWN = 200;

/** Most new events that wait while the list is paused. */
const LIVE_WAITING = 2_000;

/** Milliseconds between two polls: while events come, and once nothing has come for a while. */
const POLL_FAST = 2_000;
const POLL_SLOW = 10_000;

/** Pages of a poll. What is beyond them is counted as "more". */
const POLL_PAGES = 5;
const POLL_LIMIT = 1_000;

/**
 * Milliseconds that a poll reads again: an event may be stored after one of a later time. With few events it costs little to
 * look further back.
 */
const OVERLAP = 10_000;
const LONG_OVERLAP = 60_000;

/** What says that somebody is there. */
const WAKING = ['visibilitychange', 'keydown', 'pointerdown', 'wheel'];

/** @typedef {import('./event-fields.js').TallyEvent} TallyEvent */

/**
 * New events of a list while it is open. Each poll reads strongly what happened since the one before, with an overlap, and an
 * event is known by its id: none comes twice, and none is lost for having been stored late.
 */
export class Live {
  /**
   * @param {{ toggle: () => void, receive: (events: TallyEvent[]) => void }} options `toggle` is called where the reader
   *   switches it on or off; `receive` takes new events, newest first
   */
  constructor({ toggle, receive }) {
    this.toggle = toggle;
    this.receive = receive;
    this.path = '';
    /** @type {[string, string][]} */
    this.query = [];
    this.on = false;
    this.paused = false;
    /** @type {Set<string>} */
    this.seen = new Set();
    /** The server's time before which everything was read. */
    this.readTo = 0;
    this.overlap = LONG_OVERLAP;
    /** @type {TallyEvent[]} */
    this.waiting = [];
    this.missed = 0;
    this.delay = POLL_FAST;
    this.timer = 0;
    this.polledAt = 0;
    /** The time before which the server asked not to be asked again. */
    this.blockedTo = 0;
    /** @type {AbortController | null} */
    this.polling = null;
    this.button = h('button', {
      type: 'button',
      class: 'live',
      title: 'New events as they come (l)',
      on: { click: () => this.press() },
    });
    this.text = h('span', { class: 'live-text muted' });
    this.wake = () => {
      if (this.on && !document.hidden) {
        this.delay = POLL_FAST;
        this.schedule(Math.max(0, this.blockedTo - Date.now(), this.polledAt + POLL_FAST - Date.now()));
      }
    };
    for (const type of WAKING) {
      document.addEventListener(type, this.wake, { passive: true });
    }
    this.show();
  }

  /**
   * @param {string} path
   * @param {[string, string][]} query
   * @param {number} readTo the server's time when the list was read
   * @param {Iterable<string>} seen ids that the list has
   */
  start(path, query, readTo, seen) {
    this.stop();
    this.path = path;
    this.query = query;
    this.readTo = readTo;
    this.seen = new Set(seen);
    this.overlap = LONG_OVERLAP;
    this.on = true;
    this.polledAt = Date.now();
    this.show();
    this.schedule(0);
  }

  stop() {
    clearTimeout(this.timer);
    this.polling?.abort();
    this.polling = null;
    this.on = false;
    this.paused = false;
    this.waiting = [];
    this.missed = 0;
    fill(this.text);
    this.show();
  }

  close() {
    this.stop();
    for (const type of WAKING) {
      document.removeEventListener(type, this.wake);
    }
  }

  /** Where new rows would move what somebody reads, they wait. */
  pause() {
    if (this.on && !this.paused) {
      this.paused = true;
      this.show();
    }
  }

  press() {
    if (this.on && this.paused) {
      this.paused = false;
      const events = this.waiting;
      this.waiting = [];
      this.missed = 0;
      this.receive(events);
      this.wake();
      this.show();
    } else {
      this.toggle();
    }
  }

  show() {
    const count = this.waiting.filter(({ separator }) => !separator).length + this.missed;
    this.button.setAttribute('aria-pressed', String(this.on));
    this.button.classList.toggle('paused', this.paused);
    fill(this.button, h('span', { class: 'dot', 'aria-hidden': 'true' }, this.paused ? '‖' : this.on ? '●' : '○'));
    this.button.append(this.paused ? `Paused · ${formatCount(count)} new` : 'Live');
  }

  /** @param {number} wait */
  schedule(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), wait);
  }

  async poll() {
    if (!this.on || this.polling || document.hidden) {
      return;
    }
    const controller = new AbortController();
    this.polling = controller;
    const seconds = Math.max(1, Math.round((Date.now() - this.polledAt) / 1000));
    this.polledAt = Date.now();
    const started = serverNow();
    try {
      const { events, more } = await this.read(controller.signal);
      this.take(events, more, seconds);
      this.readTo = started - 1000;
      this.delay = events.length > 0 ? POLL_FAST : Math.min(POLL_SLOW, this.delay * 1.3);
    } catch (error) {
      if (controller.signal.aborted) {
        return;
      }
      fill(this.text, `Showing ${formatTime(this.readTo, currentState().tz, 'second')}. Reconnecting`);
      this.delay = Math.max(POLL_SLOW, error instanceof ApiError ? error.wait * 1000 : 0);
      this.blockedTo = Date.now() + this.delay;
    }
    this.polling = null;
    this.schedule(this.delay);
  }

  /**
   * Reads the events since the last poll that were not seen.
   *
   * @param {AbortSignal} signal
   */
  async read(signal) {
    const since = this.readTo - this.overlap;
    /** @type {TallyEvent[]} */
    const items = [];
    /** @type {string | null} */
    let next = null;
    for (let pages = 0; pages < POLL_PAGES; pages += 1) {
      /** @type {[string, string][]} */
      const query = next
        ? [['cursor', next]]
        : [...this.query, ['since', new Date(since).toISOString()], ['consistent', 'true']];
      const reply = await get(this.path, [...query, ['limit', String(POLL_LIMIT)]], signal);
      items.push(...reply.items);
      next = reply.next;
      if (!next) {
        break;
      }
    }
    const events = items.filter(({ id }) => !this.seen.has(id));
    for (const { id } of events) {
      this.seen.add(id);
    }
    for (const id of this.seen) {
      if (timeOfId(id) < since) {
        this.seen.delete(id);
      }
    }
    this.overlap = items.length < LIVE_DRAWN ? LONG_OVERLAP : OVERLAP;
    return { events, more: next !== null };
  }

  /**
   * @param {TallyEvent[]} events
   * @param {boolean} more
   * @param {number} seconds
   */
  take(events, more, seconds) {
    const left = events.length - LIVE_DRAWN;
    const drawn = events.slice(0, LIVE_DRAWN);
    const first = events[LIVE_DRAWN];
    if (first) {
      const separator = `${formatCount(left)}${more ? ' or more' : ''} events between these are not shown: filter to see all`;
      drawn.push(/** @type {TallyEvent} */ ({ id: first.id, separator, hidden: left }));
    }
    const count = `+${formatCount(events.length)}${more ? ' or more' : ''} in ${seconds} s`;
    fill(
      this.text,
      events.length === 0 ? '' : left > 0 ? `${count}, newest ${LIVE_DRAWN} shown: filter to see all` : count,
    );
    if (this.paused) {
      this.waiting = [...drawn, ...this.waiting].sort((a, b) => (a.id < b.id ? 1 : -1));
      this.missed += Math.max(0, left);
      for (const dropped of this.waiting.splice(LIVE_WAITING)) {
        this.missed += dropped.separator ? 0 : 1;
      }
      this.show();
    } else if (drawn.length > 0) {
      this.receive(drawn);
    }
  }
}
