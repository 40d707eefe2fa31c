import { h } from '../dom.js';
import { describeFilter } from '../filter-text.js';
import { formatExact } from '../format.js';
import { COUNTED_FIELDS } from '../page.js';
import { describeRange, PRESETS } from '../range.js';
import { navigate, withoutFilter } from '../state.js';
import { overviewParams, readOverview } from './reply.js';

/** Filters whose removal is tried. */
const TRIED = 3;

/**
 * What stands in place of the chart and the tables where nothing matches: which filter to remove, and a longer range.
 *
 * @param {import('../state.js').State} state
 * @param {AbortSignal} signal
 */
export function noMatch(state, signal) {
  const { filters } = state;
  const range = describeRange(state);
  const when = /^(Last|This) /.test(range)
    ? `in the ${range.toLowerCase()}`
    : range === 'Today' || range === 'Yesterday'
      ? range.toLowerCase()
      : `in ${range}`;
  const what =
    filters.length === 0
      ? 'No events'
      : `No events match ${filters.length === 1 ? 'this filter' : `these ${filters.length} filters`}`;
  const removals = h('span', { class: 'no-match-removals' });
  const at = PRESETS.indexOf(state.since);
  const longer = at < 0 ? '30d' : (PRESETS[at + 1] ?? '30d');
  const search = h(
    'button',
    { type: 'button', class: 'quiet link', on: { click: () => navigate({ since: longer, until: '' }) } },
    `Search ${longer.replace(/(\d)([a-z])/, '$1 $2')}`,
  );
  suggestRemovals(state, signal, removals);
  const last = state.since === PRESETS.at(-1);
  return h(
    'section',
    { class: 'panel no-match', role: 'status' },
    h('p', null, `${what} ${when}.`),
    removals,
    !last && search,
  );
}

/**
 * Asks for the count without each filter, at most three.
 *
 * @param {import('../state.js').State} state
 * @param {AbortSignal} signal
 * @param {HTMLElement} holder
 */
async function suggestRemovals(state, signal, holder) {
  const { app, filters } = state;
  for (const filter of filters.slice(0, TRIED)) {
    const without = withoutFilter(filters, filter.field, filter.operator);
    // Counters do not know the other fields.
    if (!without.every(({ field }) => COUNTED_FIELDS.includes(field))) {
      continue;
    }
    const params = overviewParams({ ...state, filters: without, compare: false });
    // A suggestion that cannot be counted is left out.
    const found = await readOverview(app ?? '', params, signal).catch(() => null);
    if (found && found.total > 0 && !signal.aborted) {
      const count = `${formatExact(found.total)} ${found.total === 1 ? 'event' : 'events'}`;
      const remove = () => navigate({ filters: without });
      holder.append(
        h(
          'button',
          { type: 'button', class: 'quiet link', on: { click: remove } },
          `Remove ${describeFilter(filter)} (${count})`,
        ),
      );
    }
  }
}
