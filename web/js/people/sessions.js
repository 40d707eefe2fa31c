import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { formatExact, formatShare, formatTime } from '../format.js';
import { maySeePeople } from '../page.js';
import { Panel } from '../panel.js';
import { filterParams } from '../state.js';
import { numberText } from '../value.js';
import { lastAsked, readOnButton } from './last-asked.js';
import {
  briefLength,
  bucketStarts,
  chartFrame,
  coverageNote,
  coveredRange,
  figures,
  intervalChoices,
  optionChoice,
  peopleRange,
  sentence,
  showAllowed,
} from './parts.js';
import { seriesPanel } from './series.js';
import { focusRow, peopleKeys, sessionRow } from './session-row.js';

/** Sessions that a page of the API has, and that are drawn at most. */
const SESSIONS_A_PAGE = 50;
const MOST_SESSIONS = 2_000;

/** @typedef {import('./session-row.js').ListedSession} ListedSession */

/**
 * The sessions of a range: numbers, a chart, and each of them.
 *
 * @param {import('../page.js').Account} account
 * @returns {import('../people.js').PeopleTab}
 */
export function sessionsTab(account) {
  const numbers = new Panel({ what: 'Figures of sessions', class: 'people-panel' });
  const panel = new Panel({ what: 'Sessions', class: 'people-panel' });
  const chart = seriesPanel('Sessions over time');
  const cards = h('div');
  const note = h('div');
  const list = h('ul', { class: 'people-rows', 'aria-label': 'Sessions' });
  const foot = h('div', { class: 'people-foot' });
  const unregister = peopleKeys(list, 'session');
  const element = h('div', { class: 'people-view' }, numbers.element, panel.element);
  const askedNumbers = lastAsked();
  const askedList = lastAsked();
  /** @type {any} */
  let reply = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  let shown = 0;
  return { element, update, close };

  function close() {
    numbers.close();
    panel.close();
    chart.close();
    unregister();
  }

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    const { chosen } = intervalChoices(next, ['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'], 2_000);
    const filters = filterParams(next.filters);
    const query = JSON.stringify([...peopleRange(next, chosen), ...filters]);
    if (askedNumbers.isNew(query)) {
      reply = null;
      showAllowed(
        numbers,
        (signal) => get(appPath(next.app ?? '', 'stats', 'sessions'), JSON.parse(query), signal),
        (found) => {
          reply = found;
          queueMicrotask(showNumbers);
          return [note, cards, chart.element];
        },
      );
    } else if (reply) {
      showNumbers();
    }
    const of = JSON.stringify([...peopleRange(next), ...filters]);
    if (askedList.isNew(of)) {
      load(next.app ?? '', JSON.parse(of));
    }
  }

  function showNumbers() {
    if (!state || !reply) {
      return;
    }
    const { total, median_seconds: median, p90_seconds: p90, single_event: single } = reply;
    fill(
      cards,
      figures('Figures', [
        { label: 'Sessions', value: numberText(total) },
        { label: 'Median duration', value: briefLength(median), title: 'Half of the sessions are no longer' },
        { label: '90 % are no longer than', value: briefLength(p90) },
        {
          label: 'With one event',
          value: single === null || total === 0 ? '–' : formatShare(single),
          title: 'The share of sessions with one event alone',
        },
      ]),
    );
    const { chosen, choices } = intervalChoices(state, ['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'], 2_000);
    const starts = bucketStarts(coveredRange(reply), chosen, state.tz, state.weekStart);
    const found = new Map(reply.series.map((/** @type {any} */ each) => [Date.parse(each.bucket_start), each]));
    const values = starts.map((start) => found.get(start)?.count ?? 0);
    const medians = starts.map((start) => found.get(start)?.median_seconds ?? null);
    chart.update(
      {
        ...chartFrame(starts, chosen, state, coveredRange(reply).until),
        series: [{ label: 'Sessions', color: 'info', values }],
      },
      {
        title: 'Sessions by their first event',
        state,
        choices: optionChoice('Interval', 'interval', choices, chosen),
        columns: [{ label: 'Median duration', values: medians, text: briefLength }],
      },
    );
    fill(note, coverageNote(reply, state));
  }

  /**
   * @param {string} app
   * @param {[string, string][]} query
   */
  function load(app, query) {
    if (!maySeePeople(account)) {
      fill(panel.body, sentence('This link shows no sessions one by one: it hides users and sessions.'));
      return;
    }
    const path = appPath(app, 'sessions');
    showAllowed(
      panel,
      (signal) => get(path, [...query, ['limit', String(SESSIONS_A_PAGE)]], signal),
      (page) => {
        fill(list);
        shown = 0;
        add(page, path);
        return [list, foot];
      },
    );
  }

  /**
   * @param {{ items: ListedSession[], next: string | null } & import('./parts.js').Coverage} page
   * @param {string} path
   */
  function add(page, path) {
    const now = /** @type {import('../state.js').State} */ (state);
    list.append(...page.items.map((session) => sessionRow(session, now)));
    shown += page.items.length;
    list.hidden = shown === 0;
    const further = page.next && shown < MOST_SESSIONS ? page.next : null;
    const button =
      further &&
      readOnButton('Show more', {
        asked: askedList,
        class: 'more',
        failed: 'More sessions',
        load: () => get(path, [['cursor', further]]),
        show: (more, hadFocus) => {
          const count = shown;
          add(more, path);
          if (hadFocus) {
            focusRow(list, count);
          }
        },
      });
    const read = page.covered?.since;
    const nothing = page.next
      ? `No sessions found yet${read ? ` back to ${formatTime(read, now.tz, 'moment')}` : ''}.`
      : 'No sessions in this range: none of its events has a session.';
    fill(
      foot,
      shown === 0 && sentence(nothing),
      button,
      page.next &&
        shown >= MOST_SESSIONS &&
        h('p', null, `The newest ${formatExact(shown)} are listed. Choose a shorter range.`),
      !page.next && page.complete === false && coverageNote(page, now),
    );
  }
}
