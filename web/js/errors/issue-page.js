import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { groupTexts } from '../filter-text.js';
import { formatExact } from '../format.js';
import { registerKeys } from '../keys.js';
import { stateLink } from '../link.js';
import { chartPanel } from '../overview/chart-panel.js';
import { note } from '../overview/freshness.js';
import { overviewParams, readOverview } from '../overview/reply.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { isRunning, rangePicker } from '../range.js';
import { savedViewsMenu } from '../saved-views.js';
import { rangeParams } from '../state.js';
import { numberText } from '../value.js';
import { breakdowns } from './breakdown.js';
import { agoText, issueBadge, issueText, issueTitle, levelMark, stateText } from './issue.js';
import { issueEvents } from './issue-events.js';
import { choiceOf, judge, undoLast, verdictMenu } from './verdict.js';

/**
 * An issue with what its newest events tell.
 *
 * @typedef {import('./issue.js').Issue & {
 *   since: string, until: string, columns: string[], complete: boolean,
 *   by: Record<string, { value: unknown, count: number }[]>,
 *   users: number, looked_at: number, looked_at_all: boolean,
 *   events: import('../event-fields.js').TallyEvent[],
 * }} IssueDetails
 */

/** Milliseconds between two refreshes of the numbers. */
const READ_AGAIN = 60_000;

/**
 * The page of one issue.
 *
 * @param {string} id
 * @param {import('../page.js').Account} account
 */
export function issuePage(id, account) {
  /** @type {import('../state.js').State | null} */
  let state = null;
  /** @type {IssueDetails | null} */
  let issue = null;
  /** @type {import('../overview/reply.js').Overview | null} */
  let overview = null;
  let asked = '';
  let timer = 0;
  /** How often the issue was changed: what was asked for before a change is no answer any more. */
  let changes = 0;
  const mayChange = isAdmin(account);
  const filters = [{ field: 'group', operator: /** @type {const} */ (''), values: [id] }];
  const picker = rangePicker();
  const back = h('span');
  const links = h('span');
  const bar = h(
    'div',
    { class: 'filter-bar' },
    back,
    picker.element,
    h('div', { class: 'spacer' }),
    links,
    account.kind === 'user' && savedViewsMenu(),
  );
  const panel = new Panel({ what: 'The error', class: 'issue-head-panel', label: 'Error' });
  const numbers = new Panel({ what: 'Numbers', class: 'issue-failure' });
  numbers.element.hidden = true;
  const chart = chartPanel(account, { filters });
  const events = issueEvents(id, account);
  const counts = breakdowns();
  const below = h('div', { class: 'issue-columns' }, events.element, counts.element);
  const element = h('div', { class: 'issue-view' }, bar, panel.element, numbers.element, chart.element, below);
  // What comes above them pushes nothing down.
  showParts(false);
  const unregister = registerKeys([
    { key: 'j', label: 'Older event', run: () => events.move(1) },
    { key: 'k', label: 'Newer event', run: () => events.move(-1) },
    ...(mayChange
      ? [
          { key: 'e', label: 'Resolve this error', run: () => issue && decide([issue], choiceOf('Resolve')) },
          { key: 'u', label: 'Undo, while it is offered', run: undoLast },
        ]
      : []),
  ]);
  return { id, element, update, close };

  function close() {
    clearTimeout(timer);
    unregister();
    panel.close();
    numbers.close();
    chart.close();
    events.close();
  }

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    picker.update(next);
    fill(back, stateLink({ ...next, options: listOptions(next.options) }, { class: 'button' }, '← Errors'));
    fill(
      links,
      stateLink({ ...next, view: 'events', filters, options: {} }, { class: 'button' }, 'All events of this error'),
    );
    const { by } = next.options;
    const query = by ? [...rangeParams(next), ['by', by]] : rangeParams(next);
    const all = JSON.stringify([query, next.options.interval ?? '']);
    if (all !== asked) {
      const again = JSON.stringify(query) !== JSON.stringify((asked && JSON.parse(asked)[0]) || null);
      asked = all;
      load(again, false);
    } else if (overview) {
      chart.update(overview, chartState(next), [], false);
    }
  }

  /**
   * @param {boolean} both whether the issue is read too
   * @param {boolean} quiet
   */
  function load(both, quiet) {
    const view = /** @type {import('../state.js').State} */ (state);
    const app = view.app ?? '';
    const before = changes;
    plan();
    /**
     * A refresh that fails leaves what is shown.
     *
     * @type {<T>(reading: Promise<T>) => Promise<T | null>}
     */
    const found = (reading) => (quiet ? reading.catch(() => null) : reading);
    if (both) {
      panel.show(
        (signal) =>
          found(
            get(appPath(app, 'issues', id), JSON.parse(asked)[0], signal).catch((error) => {
              showParts(quiet);
              throw error;
            }),
          ),
        (/** @type {IssueDetails | null} */ details) => {
          if (!details || before !== changes) {
            return undefined;
          }
          issue = details;
          showParts(true);
          events.update(details, view, quiet);
          counts.update(details, view);
          return headOf(details, view);
        },
        quiet,
      );
    }
    const params = overviewParams({ ...chartState(view), filters, compare: false });
    numbers.element.hidden = true;
    numbers
      .show(
        (signal) => found(readOverview(app, params, signal)),
        (reply) => {
          if (reply) {
            overview = reply;
            chart.update(reply, chartState(view), [], false);
          }
          return null;
        },
        quiet,
      )
      .then(() => {
        numbers.element.hidden = !numbers.body.querySelector('.failure');
      });
  }

  /** @param {boolean} shown whether there is an issue that chart, event and counts belong to */
  function showParts(shown) {
    for (const part of [chart.element, below]) {
      part.hidden = !shown;
    }
  }

  /** Reads the numbers again after a while, if the range moves on. */
  function plan() {
    clearTimeout(timer);
    if (state && isRunning(state)) {
      timer = setTimeout(() => (document.hidden ? plan() : load(true, true)), READ_AGAIN);
    }
  }

  /**
   * @param {IssueDetails} found
   * @param {import('../state.js').State} view
   */
  function headOf(found, view) {
    const text = issueText(found);
    const said = stateText(found, view.tz);
    groupTexts.set(id, text);
    document.title = `${text.slice(0, 100)} · ${view.app} · Tally`;
    return [
      h(
        'div',
        { class: 'issue-top' },
        h(
          'div',
          { class: 'issue-heading' },
          h('h1', { title: text }, levelMark(found), issueBadge(found, view.tz), ' ', issueTitle(found)),
          h('bdi', { class: 'mono muted' }, found.place),
        ),
        h(
          'div',
          { class: 'row issue-actions' },
          h('span', { class: `issue-state ${found.state}` }, said || 'Open'),
          mayChange && verdictMenu(() => [found], decide),
        ),
      ),
      h(
        'dl',
        { class: 'issue-facts' },
        issueFact('Events in range', numberText(found.count)),
        issueFact(
          found.looked_at_all ? 'Users' : `Users of the newest ${formatExact(found.looked_at)}`,
          formatExact(found.users),
        ),
        issueFact('Last seen', found.count > 0 ? agoText(found.last_seen, view.tz) : 'not in this range'),
        issueFact('First seen', agoText(found.first_seen, view.tz)),
        found.releases.length > 0 && issueFact('First release', h('bdi', null, found.releases[0])),
        found.releases.length > 1 && issueFact('Newest release', h('bdi', null, found.releases.at(-1))),
      ),
      !found.complete && note('◐', 'Counted in part: more groups than counters hold, or than one question may read'),
    ];
  }

  /**
   * @param {import('./issue.js').Issue[]} which
   * @param {import('./verdict.js').Choice} choice
   */
  function decide(which, choice) {
    changes += 1;
    judge(state?.app ?? '', which, choice, (changed) => {
      changes += 1;
      if (issue && state) {
        Object.assign(issue, changed[0]);
        fill(panel.body, headOf(issue, state));
      }
    });
  }
}

/**
 * The state by which the chart is drawn: `by` has another meaning there.
 *
 * @param {import('../state.js').State} state
 */
function chartState(state) {
  return { ...state, options: { ...state.options, by: '' } };
}

/**
 * The options of the list, as it was left.
 *
 * @param {Record<string, string>} options
 */
function listOptions({ state = '', q = '', sort = '' }) {
  return { state, q, sort };
}

/**
 * @param {string} name
 * @param {import('../dom.js').Child} value
 */
function issueFact(name, value) {
  return h('div', null, h('dt', null, name), h('dd', null, value));
}
