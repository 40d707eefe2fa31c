import { describeFilter } from '../filter-text.js';
import { filterParams, parseState } from '../state.js';
import { listOfText, peopleRange, textOfList } from './parts.js';

/**
 * A funnel as the URL holds it. A step is the filters that its events match.
 *
 * @typedef {import('../state.js').Filter[]} Step
 */

/** Steps of a funnel. */
export const LEAST_STEPS = 2;
export const MOST_STEPS = 8;

/**
 * @param {import('../state.js').State} state
 * @returns {Step[]}
 */
export function stepsOf({ options }) {
  return listOfText(options.steps, MOST_STEPS)
    .map((text) => parseState(text).filters)
    .filter((step) => step.length > 0);
}

/** @param {Step[]} steps */
export function textOfSteps(steps) {
  return textOfList(steps.map((step) => new URLSearchParams(filterParams(step)).toString()));
}

/**
 * What a step asks for, in words.
 *
 * @param {Step} step
 */
export function stepText(step) {
  const [first, ...others] = step;
  if (!first) {
    return '';
  }
  const name = first.field === 'name' && first.operator === '' ? first.values.join(' or ') : describeFilter(first);
  return [name, ...others.map(describeFilter)].join(', ');
}

/**
 * The body of the request for a funnel.
 *
 * @param {import('../state.js').State} state
 * @param {Step[]} steps
 * @returns {Record<string, unknown>}
 */
export function funnelBody(state, steps) {
  const { by, within, breakdown } = state.options;
  return {
    ...Object.fromEntries(peopleRange(state)),
    steps: steps.map((step) => {
      const names = step.filter(({ field, operator }) => field === 'name' && operator === '');
      const rest = step.filter((each) => !names.includes(each));
      return {
        ...conditions(names),
        ...(rest.length > 0 ? { where: conditions(rest) } : {}),
      };
    }),
    ...(state.filters.length > 0 ? { filters: conditions(state.filters) } : {}),
    ...(by ? { by } : {}),
    ...(within ? { within } : {}),
    ...(breakdown ? { breakdown } : {}),
  };
}

/**
 * Filters as an object by parameter.
 *
 * @param {import('../state.js').Filter[]} filters
 */
function conditions(filters) {
  /** @type {Record<string, string | string[]>} */
  const all = {};
  for (const filter of filters) {
    const name = filterParams([filter])[0]?.[0] ?? '';
    const [only = ''] = filter.values;
    all[name] = filter.values.length === 1 ? only : filter.values;
  }
  return all;
}
