import { listOfText, setOptions, textOfList } from '../people/parts.js';
import { currentState, filterParams, parseState } from '../state.js';

/** Goals: what visitors are to reach. They stand in the URL, so they are shared and saved with the view. */

/** Goals of a page. */
export const MOST_GOALS = 8;

/**
 * An event by its name, or a page by its path.
 *
 * @typedef {{ field: 'name' | 'attr.path', value: string }} Goal
 */

/**
 * The goal of a field and a value.
 *
 * @param {string} field
 * @param {string} value
 * @returns {Goal | null} null where it can be none
 */
export function goalOf(field, value) {
  return (field === 'name' || field === 'attr.path') && value !== '' ? { field, value } : null;
}

/**
 * @param {import('../state.js').State} state
 * @returns {Goal[]}
 */
export function goalsOf({ options }) {
  const found = listOfText(options.goals, MOST_GOALS).flatMap((text) => {
    const [filter] = parseState(text).filters;
    const goal = filter?.operator === '' ? goalOf(filter.field, filter.values[0] ?? '') : null;
    return goal ? [goal] : [];
  });
  return found.filter((goal, at) => found.findIndex((each) => isSameGoal(each, goal)) === at);
}

/**
 * @param {Goal} one
 * @param {Goal} other
 */
export function isSameGoal(one, other) {
  return one.field === other.field && one.value === other.value;
}

/** @param {Goal} goal */
export function goalFilter({ field, value }) {
  return { field, operator: /** @type {const} */ (''), values: [value] };
}

/** @param {Goal[]} goals */
function setGoals(goals) {
  setOptions({
    goals: textOfList(goals.map((goal) => new URLSearchParams(filterParams([goalFilter(goal)])).toString())),
  });
}

/**
 * Adds a goal, unless there are as many as there may be.
 *
 * @param {Goal} goal
 */
export function addGoal(goal) {
  const goals = goalsOf(currentState());
  if (goals.length < MOST_GOALS && !goals.some((each) => isSameGoal(each, goal))) {
    setGoals([...goals, goal]);
  }
}

/** @param {Goal} goal */
export function removeGoal(goal) {
  setGoals(goalsOf(currentState()).filter((each) => !isSameGoal(each, goal)));
}
