import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { note } from '../overview/freshness.js';
import { describeRange, PRESETS } from '../range.js';
import { navigate } from '../state.js';

/** Most issues that a list holds. */
const MOST_ISSUES = 1000;

/**
 * What stands below a list of issues: how many there are, what is missing, and the way to more.
 *
 * @param {import('../state.js').State} state
 * @param {{ next: string | null, complete: boolean }} reply the last page of the API
 * @param {{ shown: number, held: number }} counts
 * @param {() => void} more
 */
export function issueFoot(state, { next, complete }, { shown, held }, more) {
  const full = held >= MOST_ISSUES;
  return [
    shown === 0 ? nothing(state) : h('span', null, `${formatExact(shown)}${next ? '+' : ''} errors`),
    !complete &&
      note('◐', 'Some are missing or counted in part: more groups than counters hold, or than one question may read'),
    next && full && `The list ends at ${formatExact(MOST_ISSUES)}: search, or choose a shorter range`,
    next && !full && h('button', { type: 'button', on: { click: more } }, 'Show more'),
  ];
}

/** @param {import('../state.js').State} state */
function nothing(state) {
  const { since, options } = state;
  const longer = PRESETS.includes(since) && PRESETS[PRESETS.indexOf(since) + 1];
  const kind = options.state === 'all' ? '' : `${options.state || 'open'} `;
  return h(
    'span',
    { class: 'row' },
    `No ${kind}errors${options.q ? ' match' : ''} in “${describeRange(state)}”.`,
    longer &&
      h(
        'button',
        { type: 'button', class: 'quiet link', on: { click: () => navigate({ since: longer, until: '' }) } },
        `Search ${longer.replace(/(\d)([a-z])/, '$1 $2')}`,
      ),
  );
}
