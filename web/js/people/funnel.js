import { appPath, request } from '../api.js';
import { fill, h } from '../dom.js';
import { cutText } from '../event-row.js';
import { formatExact, formatShare } from '../format.js';
import { stateLink } from '../link.js';
import { maySeeIssues } from '../page.js';
import { Panel } from '../panel.js';
import { funnelBuilder } from './funnel-builder.js';
import { stepIssues } from './funnel-issues.js';
import { funnelPeople } from './funnel-people.js';
import { funnelBody, LEAST_STEPS, stepsOf } from './funnel-state.js';
import { continueButton, lastAsked } from './last-asked.js';
import { briefLength, coverageNote, sentence, showAllowed } from './parts.js';

/** Milliseconds after the last change in which a funnel is asked for. */
const FUNNEL_PAUSE = 300;

/**
 * @typedef {{
 *   label: string, people: number, of_first: number | null, of_previous: number | null, median_seconds: number | null,
 *   issues?: import('./funnel-issues.js').StepIssues | null,
 * }} StepCount `issues` are told of each step but the last
 * @typedef {{
 *   steps: StepCount[], breakdown?: { value: string | null, steps: StepCount[] }[] | null, next: string | null, note?: string,
 * } & import('./parts.js').Coverage} FunnelReply
 */

/**
 * People who go through some steps.
 *
 * @param {import('../page.js').Account} account
 * @returns {import('../people.js').PeopleTab}
 */
export function funnelTab(account) {
  const builder = funnelBuilder(account);
  const panel = new Panel({ what: 'Funnel', class: 'people-panel' });
  // The names of people: a key with any bound gets none.
  const people = maySeeIssues(account) ? funnelPeople() : null;
  const element = h('div', { class: 'people-view' }, builder.element, panel.element, people?.element);
  const asked = lastAsked();
  let timer = 0;
  let waits = false;
  /** @type {FunnelReply | null} */
  let reply = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  return { element, update, close };

  function close() {
    clearTimeout(timer);
    panel.close();
    people?.close();
  }

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    builder.update(next);
    const steps = stepsOf(next);
    if (steps.length < LEAST_STEPS) {
      clearTimeout(timer);
      panel.close();
      asked.begin();
      waits = false;
      reply = null;
      fill(panel.body, sentence('The funnel shows here once it has two steps.'));
      people?.clear();
      return;
    }
    const body = JSON.stringify(funnelBody(next, steps));
    if (asked.isNew(body)) {
      // The first one is asked for at once.
      const wait = waits ? FUNNEL_PAUSE : 0;
      waits = true;
      reply = null;
      clearTimeout(timer);
      timer = setTimeout(() => load(next.app ?? '', JSON.parse(body)), wait);
    } else if (reply) {
      fill(panel.body, content(reply));
    }
    people?.update(next, JSON.parse(body));
  }

  /**
   * @param {string} app
   * @param {Record<string, unknown>} body
   */
  function load(app, body) {
    showAllowed(
      panel,
      (signal) => request('POST', appPath(app, 'funnels'), { body, signal }),
      (found) => {
        reply = found;
        return content(found);
      },
    );
  }

  /**
   * @param {FunnelReply} found
   * @returns {import('../dom.js').Child}
   */
  function content(found) {
    return [
      coverageNote(found, state, found.next && furtherButton(found)),
      found.note && h('p', { class: 'people-note' }, found.note),
      found.steps[0]?.people === 0 ? sentence('Nobody began in this range.') : stepBars(found.steps),
      found.breakdown && found.steps[0]?.people !== 0 && breakdownTable(found, state?.options.breakdown ?? ''),
    ];
  }

  /** @param {FunnelReply} found */
  function furtherButton(found) {
    const now = /** @type {import('../state.js').State} */ (state);
    const body = { ...funnelBody(now, stepsOf(now)), next: found.next };
    return continueButton(panel, {
      asked,
      failed: 'The rest of the funnel',
      load: () => request('POST', appPath(now.app ?? '', 'funnels'), { body }),
      content: (further) => {
        reply = further;
        return content(further);
      },
    });
  }

  /** @param {StepCount[]} steps */
  function stepBars(steps) {
    return h(
      'ol',
      { class: 'funnel', 'aria-label': 'Funnel' },
      steps.map((step, at) => stepBar(step, at, steps)),
    );
  }

  /**
   * @param {StepCount} step
   * @param {number} at
   * @param {StepCount[]} steps
   */
  function stepBar(
    { label, people: count, of_first: ofFirst, of_previous: ofPrevious, median_seconds: median, issues },
    at,
    steps,
  ) {
    const before = steps[at - 1];
    const lost = (before?.people ?? count) - count;
    return h(
      'li',
      { class: 'funnel-step', style: { '--share': `${((ofFirst ?? 0) * 100).toFixed(2)}%` } },
      h(
        'div',
        { class: 'funnel-head' },
        h('span', { class: 'muted' }, `${at + 1}`),
        h('bdi', { class: 'funnel-label cut', title: label }, cutText(label)),
        h('strong', null, listLink(at + 1, '', formatExact(count), `${formatExact(count)} reached ${label}`)),
        h('span', { class: 'funnel-share' }, ofFirst === null ? '–' : formatShare(ofFirst)),
      ),
      h('div', { class: 'funnel-bar', 'aria-hidden': 'true' }, h('span')),
      before &&
        h(
          'p',
          { class: 'funnel-facts muted' },
          h('span', null, `${ofPrevious === null ? '–' : formatShare(ofPrevious)} of the step before`),
          h('span', null, `median ${briefLength(median)}`),
          h(
            'span',
            null,
            lost > 0
              ? listLink(at + 1, '1', `${formatExact(lost)} left (${formatShare(lost / before.people)})`, '')
              : 'nobody left',
          ),
        ),
      people && state && issues && stepIssues(issues, count - (steps[at + 1]?.people ?? 0), state),
    );
  }

  /**
   * A number that lists the people behind it.
   *
   * @param {number} step
   * @param {string} left
   * @param {string} text
   * @param {string} label
   */
  function listLink(step, left, text, label) {
    if (!people || !state) {
      return h('span', null, text);
    }
    const { options } = state;
    const pressed = options.step === String(step) && (options.left ?? '') === left;
    const target = pressed ? { step: '', left: '' } : { step: String(step), left };
    return stateLink(
      { ...state, options: { ...options, ...target } },
      {
        class: 'funnel-link',
        title: pressed ? 'Hide them' : 'List them',
        'aria-label': label || null,
        'aria-current': pressed ? 'true' : null,
      },
      text,
    );
  }
}

/**
 * The funnel of each value.
 *
 * @param {FunnelReply} reply
 * @param {string} field
 */
function breakdownTable({ steps, breakdown }, field) {
  const name = field.replace(/^attr\./, '');
  const heads = [name, ...steps.map(({ label }, at) => `${at + 1} ${label}`)];
  return h(
    'div',
    { class: 'breakdown-holder', tabindex: '0', role: 'region', 'aria-label': `Divided by ${name}` },
    h(
      'table',
      { class: 'breakdown-table' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          heads.map((each) => h('th', { scope: 'col' }, h('bdi', { class: 'cut', title: each }, cutText(each)))),
        ),
      ),
      h(
        'tbody',
        null,
        (breakdown ?? []).map(({ value, steps: own }) =>
          h(
            'tr',
            null,
            h(
              'th',
              { scope: 'row' },
              h(
                'bdi',
                { class: `cut${value === null ? ' muted' : ''}`, title: value ?? '' },
                value === null ? '(none)' : cutText(value),
              ),
            ),
            own.map(({ people, of_first: share }, at) =>
              h(
                'td',
                null,
                formatExact(people),
                at > 0 && h('span', { class: 'muted' }, ` ${share === null ? '–' : formatShare(share)}`),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
