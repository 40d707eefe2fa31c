import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { formatExact, formatShare, formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { bucketEnd } from '../overview/reply.js';
import { Panel } from '../panel.js';
import { filterParams } from '../state.js';
import { continueButton, lastAsked } from './last-asked.js';
import { nameChoice } from './name-picker.js';
import {
  BY,
  coverageNote,
  coveredRange,
  intervalChoices,
  keepControl,
  optionChoice,
  peopleRange,
  sentence,
  setOptions,
  showAllowed,
} from './parts.js';

/** @typedef {{ start: string, people: number, returned: number[] }} Cohort */

/**
 * @typedef {{ cohorts: Cohort[], interval: string, tz: string, next: string | null } & import('./parts.js').Coverage} RetentionReply
 */

/** Buckets that the API gives at most. */
const MOST_COHORTS = 60;

/** How much of the colour a cell of 100 % has, so that text on it stays readable. Others have the square root of their share of it. */
const DEEPEST = 50;

/** @type {Record<string, [one: string, many: string]>} */
const COHORT_WORDS = { DAY: ['Day', 'days'], WEEK: ['Week', 'weeks'], MONTH: ['Month', 'months'] };

/**
 * How many people come back, by when they came first.
 *
 * @returns {import('../people.js').PeopleTab}
 */
export function retentionTab() {
  const began = nameChoice('Began with', 'first', (first) => setOptions({ first }));
  const back = nameChoice('Came back with', 'again', (again) => setOptions({ again }));
  const tools = h('div', { class: 'row people-tools' });
  const panel = new Panel({ what: 'Retention', class: 'people-panel' });
  panel.element.prepend(
    h('div', { class: 'panel-head' }, began.element, back.element, h('div', { class: 'spacer' }), tools),
  );
  const asked = lastAsked();
  return { element: h('div', { class: 'people-view' }, panel.element), update, close: () => panel.close() };

  /** @param {import('../state.js').State} state */
  function update(state) {
    const { first = '', again = '', by = '' } = state.options;
    const { chosen, choices } = intervalChoices(state, ['DAY', 'WEEK', 'MONTH'], MOST_COHORTS);
    began.update(state, first);
    back.update(state, again);
    keepControl(tools, () =>
      fill(tools, optionChoice('Interval', 'interval', choices, chosen), optionChoice('Count', 'by', BY, by || 'user')),
    );
    /** @type {[string, string][]} */
    const named = [
      ['first', first],
      ['again', again],
      ['by', by],
    ];
    const query = JSON.stringify([
      ...peopleRange(state, chosen),
      ...named.filter(([, value]) => value),
      ...filterParams(state.filters),
    ]);
    if (!asked.isNew(query)) {
      return;
    }
    showAllowed(
      panel,
      (signal) => get(appPath(state.app ?? '', 'stats', 'retention'), JSON.parse(query), signal),
      (reply) => retained(reply, state, query),
    );
  }

  /**
   * @param {RetentionReply} reply
   * @param {import('../state.js').State} state
   * @param {string} query
   * @returns {import('../dom.js').Child}
   */
  function retained(reply, state, query) {
    const further =
      reply.next &&
      continueButton(panel, {
        asked,
        failed: 'The rest of the range',
        load: () => get(appPath(state.app ?? '', 'stats', 'retention'), [...JSON.parse(query), ['next', reply.next]]),
        content: (found) => retained(found, state, query),
      });
    return [coverageNote(reply, state, further), triangle(reply, state)];
  }
}

/**
 * @param {RetentionReply} reply
 * @param {import('../state.js').State} state
 */
function triangle(reply, state) {
  const { interval } = reply;
  const { until } = coveredRange(reply);
  // Of days that were not read nothing is known; the API has zeros there.
  const cohorts = reply.cohorts.filter(({ start }) => Date.parse(start) < Date.parse(until));
  if (cohorts.every(({ people }) => people === 0)) {
    return sentence('Nobody began in this range.');
  }
  const [one = '', many = ''] = COHORT_WORDS[interval] ?? [];
  // The first one may have come back in each later bucket that was read.
  const heads = ['Began', 'People', ...cohorts.map((_, n) => `${one} ${n}`)];
  const longer = reply.cohorts.length < 3 && {
    ...state,
    since: '30d',
    until: '',
    options: { ...state.options, interval: '' },
  };
  return [
    longer &&
      h(
        'p',
        { class: 'people-note' },
        `The range has ${cohorts.length === 1 ? `one ${one.toLowerCase()}` : `two ${many}`} only. `,
        stateLink(longer, { class: 'text-link' }, 'Show the last 30 days'),
      ),
    h(
      'div',
      { class: 'triangle-holder', tabindex: '0', role: 'region', 'aria-label': 'People who came back' },
      h(
        'table',
        { class: 'triangle' },
        h(
          'thead',
          null,
          h(
            'tr',
            null,
            heads.map((each) => h('th', { scope: 'col' }, each)),
          ),
        ),
        h(
          'tbody',
          null,
          cohorts.map((cohort) => cohortRow(cohort, interval, until, state, many)),
        ),
      ),
    ),
    h(
      'p',
      { class: 'people-note' },
      `${one} 0 is the ${one.toLowerCase()} in which they began, after their first event. A cell in italics is of a ${one.toLowerCase()} that is not over${reply.complete === false ? ', or not read to its end' : ''}.`,
    ),
  ];
}

/**
 * @param {Cohort} cohort
 * @param {string} interval
 * @param {string} until up to which events were read
 * @param {import('../state.js').State} state
 * @param {string} many
 */
function cohortRow({ start, people, returned }, interval, until, state, many) {
  const began = formatTime(start, state.tz, interval === 'MONTH' ? 'month' : 'day');
  const now = Math.min(Date.now(), Date.parse(until));
  let end = Date.parse(start);
  const cells = returned.map((count, n) => {
    if (end >= Date.parse(until)) {
      return null;
    }
    end = bucketEnd(end, interval, state.tz, state.weekStart);
    const share = people > 0 ? count / people : 0;
    const running = end > now;
    const when = n === 0 ? 'once more in the same one' : `${n} ${n === 1 ? many.slice(0, -1) : many} later`;
    const title =
      `${formatExact(count)} of ${formatExact(people)} who began ${began} (${formatShare(share)}): ${when}` +
      (running ? ', which is not over' : '');
    return h(
      'td',
      {
        class: `${running ? 'running' : ''}${count === 0 ? ' muted' : ''}`,
        title,
        style: people > 0 ? { '--deep': `${(Math.sqrt(share) * DEEPEST).toFixed(1)}%` } : {},
      },
      people > 0 && [
        h('strong', null, formatShare(Math.round(share * 100) / 100)),
        h('span', null, formatExact(count)),
      ],
    );
  });
  return h(
    'tr',
    null,
    h('th', { scope: 'row' }, began),
    h('td', { class: 'cohort-people' }, formatExact(people)),
    cells,
  );
}
