import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { formatShare, formatTime } from '../format.js';
import { Panel } from '../panel.js';
import { filterParams } from '../state.js';
import { numberText } from '../value.js';
import { lastAsked } from './last-asked.js';
import { chartFrame, figures, intervalChoices, optionChoice, peopleRange, showAllowed } from './parts.js';
import { seriesPanel } from './series.js';

/** @typedef {import('../overview/reply.js').Interval} Interval */

/** @type {Interval[]} */
const UNIQUE_INTERVALS = ['HOUR', 'DAY', 'WEEK', 'MONTH'];

/**
 * How many different users or sessions there were.
 *
 * @returns {import('../people.js').PeopleTab}
 */
export function usersTab() {
  const panel = new Panel({ what: 'Users', class: 'people-panel' });
  const chart = seriesPanel('Users over time');
  const cards = h('div');
  const note = h('div');
  const asked = lastAsked();
  /** @type {any} */
  let reply = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  return {
    element: h('div', { class: 'people-view' }, panel.element),
    update,
    close: () => {
      panel.close();
      chart.close();
    },
  };

  /** @param {import('../state.js').State} next */
  function update(next) {
    state = next;
    const { chosen } = intervalChoices(next, UNIQUE_INTERVALS, 1_000);
    const of = next.options.of === 'sessions' ? 'sessions' : 'users';
    const query = JSON.stringify([...peopleRange(next, chosen), ['of', of], ...filterParams(next.filters)]);
    if (!asked.isNew(query)) {
      show();
      return;
    }
    reply = null;
    showAllowed(
      panel,
      (signal) => get(appPath(next.app ?? '', 'stats', 'uniques'), JSON.parse(query), signal),
      (found) => {
        reply = found;
        queueMicrotask(show);
        return [note, cards, chart.element];
      },
    );
  }

  function show() {
    if (!state || !reply) {
      return;
    }
    const { of, total, error, interval, series, until } = reply;
    const what = of === 'sessions' ? 'Sessions' : 'Users';
    const title = `Who comes in several columns counts once.${error ? ' In 95 of 100 cases the number is off by no more' : ''}`;
    const about = error > 0 && h('span', { class: 'muted' }, ` ± ${formatShare(error)}`);
    fill(
      cards,
      figures('Figures', [{ label: `Different ${what.toLowerCase()}`, value: [numberText(total), about], title }]),
    );
    const starts = series.map((/** @type {any} */ each) => Date.parse(each.bucket_start));
    const values = series.map((/** @type {any} */ { count }) => count);
    const { chosen, choices } = intervalChoices(state, UNIQUE_INTERVALS, 1_000);
    chart.update(
      { ...chartFrame(starts, interval, state, until), series: [{ label: what, color: 'info', values }] },
      {
        title: `${what} over time`,
        state,
        choices: [
          optionChoice(
            'Count',
            'of',
            [
              ['users', 'users'],
              ['sessions', 'sessions'],
            ],
            of,
          ),
          optionChoice('Interval', 'interval', choices, chosen),
        ],
      },
    );
    fill(note, uniquesNote(reply, state.tz));
  }
}

/**
 * What is to be known of the numbers, in words.
 *
 * @param {any} reply
 * @param {string} tz
 */
function uniquesNote({ complete, covered_since: since, widened, error }, tz) {
  const parts = [
    since &&
      `Of the events since ${formatTime(since, tz, 'moment')} only: there are more than one request reads. Choose a shorter range or another filter.`,
    complete === false && !since && 'Somebody who was erased may still be counted. A recount makes it exact.',
    widened && 'The hours in which the range begins and ends count as a whole.',
    error > 0 && `Numbers above 380 are estimates, within ${formatShare(error)} in 95 of 100 cases.`,
  ].filter(Boolean);
  return parts.length > 0 && h('p', { class: 'people-note', role: 'status' }, `◐ ${parts.join(' ')}`);
}
