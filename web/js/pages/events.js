import { appPath, serverNow } from '../api.js';
import { columnPicker } from '../column-picker.js';
import { fill, h } from '../dom.js';
import { columnsOf } from '../event-fields.js';
import { EventList } from '../event-list.js';
import { EventPages } from '../event-pages.js';
import { filterBar } from '../filter-bar.js';
import { registerKeys } from '../keys.js';
import { Live } from '../live.js';
import { noMatch } from '../overview/no-match.js';
import { Panel } from '../panel.js';
import { isRunning } from '../range.js';
import { readFurther } from '../read-on.js';
import { searchNote, searchText } from '../search-note.js';
import { filterParams, navigate, rangeParams } from '../state.js';

/** Rows before the end of the list at which more are read. */
const AHEAD = 60;

/**
 * The list of events, newest first.
 *
 * @param {import('../state.js').State} first
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function eventsPage(first, account) {
  let state = first;
  let asked = '';
  let readAt = 0;
  /** @type {EventPages | null} the events that the list shows */
  let pages = null;
  /** @type {EventPages | null} those that are read to take their place */
  let coming = null;
  let reading = false;
  const panel = new Panel({ what: 'Events', class: 'event-panel' });
  const list = new EventList({
    label: 'Events',
    account,
    at: (row) => pages?.at(row),
    shown: (last) => pages && last >= pages.count - AHEAD && readOn(false),
    touched: () => live.pause(),
  });
  const live = new Live({ toggle: toggleLive, receive: take });
  const note = searchNote(() => readOn(true));
  const bar = filterBar(account, { buttons: [live.button, columnPicker(account, pathsSeen)] });
  const unregister = registerKeys([{ key: 'l', label: 'Live: start, pause or go on', run: () => live.press() }]);
  panel.element.append(h('div', { class: 'event-foot' }, note.element, live.text));
  const element = h(
    'div',
    { class: 'page events-page' },
    h('h1', { class: 'offscreen' }, 'Events'),
    bar.element,
    panel.element,
  );
  update(first);
  return { element, update, close };

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    bar.update(next);
    list.update(next, columnsOf(next, account));
    live.button.disabled = !isRunning(next);
    const query = [...filterParams(next.filters), ...rangeParams(next)];
    if (JSON.stringify(query) !== asked) {
      asked = JSON.stringify(query);
      load(query);
    } else if (!coming) {
      switchLive();
    }
  }

  function close() {
    pages?.close();
    coming?.close();
    panel.close();
    live.close();
    list.close();
    bar.close();
    unregister();
  }

  /** @param {[string, string][]} query */
  function load(query) {
    live.stop();
    coming?.close();
    const path = appPath(state.app ?? '', 'events');
    const mine = new EventPages(path, query, () => list.list.refresh());
    coming = mine;
    readAt = serverNow();
    note.clear();
    panel.show(
      () => mine.more((progress) => coming === mine && progress.requests > 1 && note.show(progress, 0, true)),
      (progress) => {
        pages?.close();
        pages = mine;
        coming = null;
        list.focused = 0;
        list.list.reset();
        list.list.setCount(mine.count, !mine.next);
        tell(mine, progress, false);
        suggest();
        switchLive();
        focusMarked();
        return content();
      },
    );
  }

  /** The list, or why there is none. An element that is there already stays, with its place. */
  function content() {
    if (pages?.count || live.on) {
      return list.element.isConnected ? undefined : list.element;
    }
    return pages?.next
      ? h('p', { class: 'nothing' }, `${searchText(pages.progress, 0)}.`)
      : noMatch(state, (pages ?? coming)?.stopped.signal ?? AbortSignal.abort());
  }

  /**
   * Reads the next pages.
   *
   * @param {boolean} asked whether somebody asked to search further than a search goes by itself
   */
  async function readOn(asked) {
    const mine = pages;
    if (!mine?.next || reading || coming || (live.on && !live.paused) || (!asked && note.waits)) {
      return;
    }
    reading = true;
    tell(mine, { ...mine.progress, found: 0, requests: 0 }, true);
    await readFurther(mine, {
      isShown: () => pages === mine,
      grow: (now) => {
        list.list.setCount(mine.count, !mine.next);
        tell(mine, now, true);
      },
      tell: (progress) => tell(mine, progress, false),
      content,
      body: panel.body,
      note,
    });
    reading = false;
  }

  /**
   * @param {EventPages} of
   * @param {import('../event-pages.js').Progress} progress
   * @param {boolean} busy
   */
  function tell(of, progress, busy) {
    const hidden = of.hidden();
    note.show(progress, of.count - hidden.separators, busy, hidden.events);
  }

  function toggleLive() {
    if (isRunning(state)) {
      navigate({ options: { ...state.options, live: live.on ? '' : '1' } }, { replace: true });
    }
  }

  /** Starts or stops as the URL says. */
  function switchLive() {
    const wanted = state.options.live === '1' && isRunning(state);
    if (wanted && !live.on && pages) {
      const query = filterParams(state.filters);
      if (state.until && state.until !== 'now') {
        query.push(['until', state.until]);
      }
      const ids = [];
      for (let row = 0; row < Math.min(pages.count, 2_000); row += 1) {
        ids.push(pages.at(row)?.id ?? '');
      }
      live.start(appPath(state.app ?? '', 'events'), query, readAt, ids);
      list.element.scrollTop = 0;
      if (!list.element.isConnected) {
        fill(panel.body, list.element);
      }
    } else if (!wanted && live.on) {
      readAt = live.readTo;
      const { waiting } = live;
      live.stop();
      take(waiting);
    }
  }

  /** @param {import('../event-fields.js').TallyEvent[]} events newest first */
  function take(events) {
    if (!pages) {
      return;
    }
    list.insert(pages.insert(events));
    pages.trim();
    list.list.setCount(pages.count, !pages.next);
    tell(pages, pages.progress, false);
    if (!list.element.isConnected && pages.count > 0) {
      fill(panel.body, list.element);
    }
    if (live.on) {
      list.element.scrollTop = 0;
    }
  }

  /** The event that a link names, if it is near the start of the list. */
  function focusMarked() {
    for (let row = 0; state.options.event && row < Math.min(pages?.count ?? 0, 500); row += 1) {
      if (pages?.at(row)?.id === state.options.event) {
        requestAnimationFrame(() => {
          list.focus(row);
          list.toggle(row);
        });
        return;
      }
    }
  }

  function loaded() {
    return pages?.pages[0]?.items ?? [];
  }

  function suggest() {
    for (const field of ['name', 'category', 'user_id', 'session_id', 'message']) {
      const values = loaded().map((event) => /** @type {string | undefined} */ (event[field]) ?? null);
      bar.suggest(field, [...new Set(values)].filter((value) => value !== null).slice(0, 20));
    }
  }

  /** Paths of `data` to single values, as far as the events at hand have them. */
  function pathsSeen() {
    /** @type {Set<string>} */
    const paths = new Set();
    for (const { data } of loaded().slice(0, 100)) {
      collect(data, '', 0);
    }
    return [...paths].sort().slice(0, 100);

    /**
     * @param {unknown} value
     * @param {string} path
     * @param {number} depth
     */
    function collect(value, path, depth) {
      if (typeof value !== 'object' || value === null) {
        if (path) {
          paths.add(path);
        }
      } else if (!Array.isArray(value) && depth < 4) {
        for (const [key, child] of Object.entries(value).slice(0, 50)) {
          collect(child, path ? `${path}.${key}` : key, depth + 1);
        }
      }
    }
  }
}
