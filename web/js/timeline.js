import { ApiError, appPath, get } from './api.js';
import { columnPicker } from './column-picker.js';
import { fill, h } from './dom.js';
import { columnsOf } from './event-fields.js';
import { EventList } from './event-list.js';
import { EventPages } from './event-pages.js';
import { filterBar } from './filter-bar.js';
import { formatCount, formatDuration, formatTime } from './format.js';
import { maySeeIssues } from './page.js';
import { Panel } from './panel.js';
import { readFurther } from './read-on.js';
import { searchNote, searchText } from './search-note.js';
import { filterParams, navigate, rangeParams, withFilter } from './state.js';
import { emptySummary, idsOf, timelineHead } from './timeline-head.js';

/** Events of a page. A session seldom has more. */
const TIMELINE_PAGE = 1_000;

/** Seconds from which on parts of them do not matter. */
const GAP = 60;

/** Rows before the end of the list at which more are read. */
const TIMELINE_AHEAD = 60;

/** Values that a filter may have. */
const MOST_IDS = 20;

/** @typedef {import('./event-fields.js').TallyEvent} TallyEvent */

/**
 * What one session or one user did: oldest first, with the days and the gaps between.
 *
 * @param {import('./state.js').State} first
 * @param {import('./page.js').Account} account
 * @param {'session_id' | 'user_id'} field
 * @returns {import('./page.js').Page}
 */
export function timelinePage(first, account, field) {
  const ofUser = field === 'user_id';
  const what = ofUser ? 'User' : 'Session';
  const other = ofUser ? 'session_id' : 'user_id';
  let state = first;
  let asked = '';
  let reading = false;
  /** @type {EventPages | null} */
  let pages = null;
  /** @type {(number | TallyEvent)[]} an event by its number, or a separator */
  let rows = [];
  /** @type {string[]} the time between each event and the one before */
  let gaps = [];
  let summary = emptySummary();
  /** @type {import('./timeline-head.js').Identity | null} */
  let person = null;
  let allIds = false;
  const panel = new Panel({ what: `Events of this ${what.toLowerCase()}`, class: 'event-panel' });
  const head = h('div', { class: 'timeline-head' });
  const list = new EventList({
    label: `${what}, oldest event first`,
    account,
    at: (row) => {
      const each = rows[row];
      return typeof each === 'number' ? pages?.at(each) : each;
    },
    after: (row) => gaps[Number(rows[row])] ?? '',
    shown: (last) => last >= rows.length - TIMELINE_AHEAD && readOn(false),
  });
  const note = searchNote(() => readOn(true));
  // A session is shown whole; a user's events may go back years, and no index serves them.
  const bar = filterBar(account, { range: ofUser, buttons: columnPicker(account, () => []) });
  panel.element.append(h('div', { class: 'event-foot' }, note.element));
  const element = h('div', { class: 'page events-page timeline-page' }, bar.element, head, panel.element);
  update(first);
  return { element, update, close };

  /** @param {import('./state.js').State} next */
  function update(next) {
    state = next;
    bar.update(next);
    showColumns();
    const range = ofUser ? rangeParams(next) : [];
    const query = JSON.stringify([...filterParams(next.filters), ...range]);
    if (query !== asked) {
      asked = query;
      load(range);
    }
  }

  function close() {
    pages?.close();
    panel.close();
    list.close();
    bar.close();
  }

  function showColumns() {
    // Which of their ids somebody had is of interest where there are several.
    const all = columnsOf(state, account).filter((column) => column !== field || (person && idsOf(person).length > 1));
    list.update(state, ['after', ...all]);
  }

  /** The one that the page is about. */
  function subject() {
    return state.filters.find((filter) => filter.field === field && filter.operator === '')?.values[0] ?? '';
  }

  /** @param {[string, string][]} range */
  function load(range) {
    pages?.close();
    panel.close();
    note.clear();
    if (!subject()) {
      pages = null;
      fill(head, h('h1', null, what));
      fill(panel.body, whichForm());
      return;
    }
    person = null;
    allIds = false;
    begin();
    panel.show(
      async (signal) => {
        person = await readPerson(signal);
        signal.throwIfAborted();
        const mine = openPages([...filterParams(filtersOfPerson()), ...range]);
        return { mine, progress: await mine.more(grow) };
      },
      ({ mine, progress }) => {
        list.focused = 0;
        list.list.reset();
        list.list.setCount(rows.length, !mine.next);
        note.show(progress, mine.count, false);
        return content();
      },
    );
  }

  function begin() {
    pages?.close();
    pages = null;
    rows = [];
    gaps = [];
    summary = emptySummary();
    showColumns();
    showHead();
  }

  /**
   * All ids of the one that the page is about. A key with any bound is told none: it sees the events of the one id.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<import('./timeline-head.js').Identity | null>}
   */
  async function readPerson(signal) {
    if (!ofUser || !maySeeIssues(account)) {
      return null;
    }
    try {
      return await get(appPath(state.app ?? '', 'people', subject()), [], signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  /** The filters of the page, by all ids of the person. */
  function filtersOfPerson() {
    const ids = person ? idsOf(person) : [];
    return state.filters.map((filter) =>
      filter.field === field && filter.operator === ''
        ? { ...filter, values: [...new Set([...filter.values, ...ids])].slice(0, MOST_IDS) }
        : filter,
    );
  }

  /**
   * Begins to read the events of a query.
   *
   * @param {[string, string][]} query
   */
  function openPages(query) {
    begin();
    const path = appPath(state.app ?? '', 'events');
    const mine = new EventPages(path, [...query, ['order', 'asc']], () => list.list.refresh(), TIMELINE_PAGE);
    pages = mine;
    get(path, [...query, ['limit', '1']], mine.stopped.signal).then(
      ({ items }) => {
        summary.last = items[0]?.timestamp ?? summary.last;
        showHead();
      },
      // The last event is then the last one that was read.
      () => {},
    );
    return mine;
  }

  function content() {
    if (rows.length > 0) {
      return list.element.isConnected ? undefined : list.element;
    }
    const text = pages?.next
      ? `${searchText(pages.progress, 0)}.`
      : ofUser
        ? 'No events of this user in this range.'
        : 'No events of this session. Its events may have expired.';
    return h('div', { class: 'nothing' }, text);
  }

  /**
   * Adds what was read to the rows and to the summary.
   *
   * @param {import('./event-pages.js').Progress} progress
   */
  function grow(progress) {
    for (let index = summary.count; index < (pages?.count ?? 0); index += 1) {
      const event = pages?.at(index);
      // A page that was just read is at hand.
      if (event) {
        separate(event);
        add(event);
      }
      rows.push(index);
      summary.count += 1;
    }
    note.show(progress, summary.count, true);
    showHead();
  }

  /**
   * A line before the first event of a day, and the time since the event before.
   *
   * @param {TallyEvent} event
   */
  function separate({ timestamp }) {
    const seconds = summary.end ? (Date.parse(timestamp) - Date.parse(summary.end)) / 1000 : Number.NaN;
    gaps.push(
      seconds >= GAP
        ? `+${formatDuration(seconds)}`
        : seconds >= 0
          ? `+${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
          : '',
    );
    const day = formatTime(timestamp, state.tz, 'day');
    if (day !== summary.day) {
      rows.push(/** @type {TallyEvent} */ ({ id: '', separator: day }));
    }
    summary.day = day;
    summary.end = timestamp;
  }

  /** @param {TallyEvent} event */
  function add(event) {
    summary.first ||= event.timestamp;
    if (summary.last < event.timestamp) {
      summary.last = event.timestamp;
    }
    summary.levels.set(event.level ?? '', (summary.levels.get(event.level ?? '') ?? 0) + 1);
    const linked = event[other];
    if (typeof linked === 'string') {
      summary.others.set(linked, (summary.others.get(linked) ?? 0) + 1);
    }
  }

  function showHead() {
    const partly = pages?.next ? `, first ${formatCount(summary.count)}` : '';
    const ids = person ? idsOf(person) : [];
    timelineHead(head, {
      what,
      id: person?.user_id || subject(),
      ofUser,
      state: { ...state, filters: filtersOfPerson() },
      summary,
      partly,
      ids: ids.length > 1 ? ids : [],
      idsNote: [
        ids.length > MOST_IDS && `Events of the first ${MOST_IDS} are shown.`,
        person?.complete === false && 'There are more ids than can be read.',
      ]
        .filter(Boolean)
        .join(' '),
      showIds: allIds
        ? null
        : () => {
            allIds = true;
            showHead();
          },
    });
  }

  /** @param {boolean} further */
  async function readOn(further) {
    const mine = pages;
    if (!mine?.next || reading || panel.running || (!further && note.waits)) {
      return;
    }
    reading = true;
    await readFurther(mine, {
      isShown: () => pages === mine,
      grow: (now) => {
        grow(now);
        list.list.setCount(rows.length, !mine.next);
      },
      tell: (progress) => note.show(progress, mine.count, false),
      content,
      body: panel.body,
      note,
    });
    reading = false;
  }

  function whichForm() {
    const input = h('input', { name: 'id', required: true, autocomplete: 'off' });
    /** @param {SubmitEvent} event */
    function submit(event) {
      event.preventDefault();
      navigate({ filters: withFilter(state.filters, field, '', input.value) });
    }
    return h(
      'form',
      { class: 'nothing row', on: { submit } },
      h('label', { class: 'row' }, `Id of the ${what.toLowerCase()}`, input),
      h('button', { type: 'submit' }, 'Show'),
    );
  }
}
