import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatExact, formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { isAdmin } from '../page.js';
import { Panel } from '../panel.js';
import { navigate, parseState } from '../state.js';
import { channelText, isAboutIssues, stateMark, typeText } from './rule.js';
import { ruleRow } from './rule-row.js';

/**
 * One rule with its history.
 *
 * @param {string} id
 * @param {import('../state.js').State} first
 * @param {import('../page.js').Account} account
 */
export function rulePage(id, first, account) {
  let state = first;
  const panel = new Panel({ what: 'The rule', label: 'Rule' });
  const list = { ...first, view: 'alerts', options: {} };
  const element = h(
    'div',
    { class: 'settings-tab rule-page' },
    h('p', null, stateLink(list, { class: 'text-link' }, '‹ All rules')),
    panel.element,
  );
  load(false);
  return { id, element, update, close: () => panel.close() };

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
  }

  /** @param {boolean} quiet */
  function load(quiet) {
    panel.show(
      (signal) => get(appPath(state.app ?? '', 'alerts', id), [], signal),
      (/** @type {import('./rule.js').Rule} */ rule) => [
        h(
          'div',
          { class: 'rule alone', dataset: { state: rule.enabled ? rule.state : 'off' } },
          ruleRow(state, rule, { mayChange: isAdmin(account), linked: false, done }),
        ),
        chartLink(rule, state),
        h('h2', null, 'History'),
        historyTable(rule, state),
      ],
      quiet,
    );
  }

  /** @param {boolean} [deleted] */
  function done(deleted) {
    if (deleted) {
      navigate(list);
    } else {
      load(true);
    }
  }
}

/** The intervals of the chart whose columns are as long as a window. */
/** @type {Record<string, string>} */
const WINDOW_INTERVALS = { '1m': 'MINUTE', '1h': 'HOUR', '1d': 'DAY', '1w': 'WEEK' };

/**
 * Leads to the chart of what a rule counts, with the threshold as a line where a column is as long as its window.
 *
 * @param {import('./rule.js').Rule} rule
 * @param {import('../state.js').State} state
 */
function chartLink({ filter, window: length, condition }, state) {
  if (isAboutIssues(condition)) {
    return null;
  }
  const params = Object.entries(filter).flatMap(([name, values]) => values.map((value) => [name, value]));
  const { filters } = parseState(new URLSearchParams(params).toString());
  const options = { interval: WINDOW_INTERVALS[length] ?? '' };
  return h(
    'p',
    null,
    stateLink({ ...state, view: '', filters, options }, { class: 'text-link' }, 'What it counts, as a chart'),
  );
}

/** @type {[string, (rule: import('./rule.js').Rule, each: import('./rule.js').RuleTransition, state: import('../state.js').State) => import('../dom.js').Child][]} */
const HISTORY_COLUMNS = [
  ['When', (_, { at, found_at: found }, { tz }) => whenText(at, found, tz)],
  ['What', (_, each, state) => whatText(each, state)],
  ['Value', (_, each) => valueText(each)],
  ['Told', (rule, { deliveries }, { tz }) => deliveryList(rule, deliveries, tz)],
];

/**
 * @param {import('./rule.js').Rule} rule
 * @param {import('../state.js').State} state
 */
function historyTable(rule, state) {
  const history = rule.history ?? [];
  if (history.length === 0) {
    return h('p', { class: 'nothing' }, 'Nothing has happened in the last 90 days.');
  }
  return h(
    'table',
    { class: 'list', 'aria-label': 'History' },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        HISTORY_COLUMNS.map(([title]) => h('th', { scope: 'col' }, title)),
      ),
    ),
    h(
      'tbody',
      null,
      history.map((each) =>
        h(
          'tr',
          null,
          HISTORY_COLUMNS.map(([title, cell]) =>
            h('td', { dataset: { column: title } }, h('div', null, cell(rule, each, state))),
          ),
        ),
      ),
    ),
  );
}

/**
 * @param {string} at
 * @param {string} found
 * @param {string} tz
 */
function whenText(at, found, tz) {
  const title = `Found out ${formatTime(found, tz, 'full')}`;
  return h('time', { datetime: at, title }, formatTime(at, tz, 'moment'));
}

/**
 * @param {import('./rule.js').RuleTransition} transition
 * @param {import('../state.js').State} state
 */
function whatText({ at, since, from, to, condition, issue, issues, reason }, state) {
  if (since !== undefined) {
    const link = { ...state, view: '', since, until: at, options: {} };
    return [
      stateLink(link, { class: 'text-link' }, 'Report'),
      h(
        'div',
        { class: 'muted breaking' },
        reason ?? `${formatTime(since, state.tz, 'moment')} to ${formatTime(at, state.tz, 'moment')}`,
      ),
    ];
  }
  if (issues !== undefined) {
    const link = { ...state, view: 'errors', filters: [], options: { issue: issue ?? '' } };
    return [
      issue ? stateLink(link, { class: 'text-link' }, 'One error') : `${formatExact(issues)} errors`,
      h('div', { class: 'muted breaking' }, condition),
    ];
  }
  return [
    from === to ? [stateMark(to), ' told again'] : [stateMark(from), ' → ', stateMark(to)],
    h('div', { class: 'muted breaking' }, reason ?? condition),
  ];
}

/** @param {import('./rule.js').RuleTransition} transition */
function valueText({ since, value, from_none: fromNone, threshold, issues }) {
  if (issues !== undefined || since !== undefined) {
    return '';
  }
  return [
    value === null ? 'not known' : formatExact(value),
    fromNone && h('span', { class: 'muted' }, ', and none before'),
    threshold !== null && !fromNone && h('span', { class: 'muted' }, `, threshold ${formatExact(threshold)}`),
  ];
}

/** @type {Record<string, string>} */
const DELIVERY_WORDS = {
  pending: 'not yet delivered',
  delivered: '✓ delivered',
  failed: '✕ failed',
  snoozed: '☾ snoozed',
};

/**
 * @param {import('./rule.js').Rule} rule
 * @param {import('./rule.js').RuleDelivery[]} deliveries
 * @param {string} tz
 */
function deliveryList({ channels }, deliveries, tz) {
  if (deliveries.length === 0) {
    return h('span', { class: 'muted' }, 'Nobody');
  }
  return h(
    'ul',
    { class: 'deliveries' },
    deliveries.map(({ channel, type, status, attempts, next_at: next, error }) => {
      const known = channels.find((each) => each.id === channel);
      const tried = attempts > 1 ? `, ${attempts} attempts` : '';
      return h(
        'li',
        { class: 'breaking' },
        h('bdi', null, known ? channelText(known) : `${typeText(type)}, removed since`),
        `: ${DELIVERY_WORDS[status] ?? status}${tried}`,
        next && `, tried again ${formatTime(next, tz, 'second')}`,
        error && status !== 'delivered' && h('div', { class: 'muted' }, error),
      );
    }),
  );
}
