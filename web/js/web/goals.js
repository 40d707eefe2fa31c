import { fill, h } from '../dom.js';
import { cutText } from '../event-row.js';
import { formatShare } from '../format.js';
import { Panel } from '../panel.js';
import { keepControl, showAllowed } from '../people/parts.js';
import { filterParams, rangeParams } from '../state.js';
import { keepFocus, numberText, valueButton } from '../value.js';
import { askStatistic, whenSeen } from './asks.js';
import { addGoal, goalFilter, goalOf, goalsOf, MOST_GOALS, removeGoal } from './goal-state.js';

/** @typedef {import('./goal-state.js').Goal} Goal */
/** @typedef {import('./asks.js').Visits} Visits */

/** The visitors who reached each goal, and their share of all visitors. */
export function goalPanel() {
  const panel = new Panel({ what: 'Goals', class: 'list-panel web-shelf' });
  panel.element.prepend(h('div', { class: 'panel-head' }, h('h2', null, 'Goals')));
  const form = goalForm();
  panel.element.append(form);
  const sight = whenSeen(panel.element);
  /** What is known of goals, of one range and its filters. */
  /** @type {Map<string, Promise<Visits>>} */
  const known = new Map();
  let knownOf = '';
  let controller = new AbortController();
  let question = '';
  return {
    element: panel.element,
    update,
    close: () => {
      controller.abort();
      sight.close();
      panel.close();
    },
  };

  /**
   * @param {import('../state.js').State} state
   * @param {import('./asks.js').WebAsks} asks
   */
  function update(state, asks) {
    const goals = goalsOf(state);
    form.hidden = goals.length >= MOST_GOALS;
    const of = JSON.stringify([state.app, rangeParams(state), filterParams(state.filters)]);
    const next = JSON.stringify([of, goals]);
    if (next === question) {
      return;
    }
    question = next;
    if (of !== knownOf) {
      controller.abort();
      controller = new AbortController();
      known.clear();
      knownOf = of;
    }
    panel.close();
    sight.ask(() => load(goals, state, asks));
  }

  /**
   * @param {Goal[]} goals
   * @param {import('../state.js').State} state
   * @param {import('./asks.js').WebAsks} asks
   */
  function load(goals, state, asks) {
    if (goals.length === 0) {
      panel.filled = true;
      fill(
        panel.body,
        h(
          'p',
          { class: 'empty-rows muted' },
          'A goal is an event or a page that visitors should reach. Choose one by its flag in the tables, or name it here. Goals are part of the link: save the view to keep them.',
        ),
      );
      return;
    }
    const { signal } = controller;
    showAllowed(
      panel,
      async () => {
        const [all, ...reached] = await Promise.all([
          asks.visits(),
          ...goals.map((goal) => (clashes(goal, state) ? null : reachedBy(goal, state, signal))),
        ]);
        return goals.map((goal, at) => ({ goal, all, found: reached[at] ?? null }));
      },
      (rows) => {
        keepControl(panel.body, () => keepFocus(panel.body, () => fill(panel.body, goalTable(rows))));
        return undefined;
      },
    );
  }

  /**
   * @param {Goal} goal
   * @param {import('../state.js').State} state
   * @param {AbortSignal} signal
   */
  function reachedBy(goal, state, signal) {
    const key = JSON.stringify(goal);
    const rest = state.filters.filter(({ field, operator }) => field !== goal.field || operator !== '');
    const query = [...rangeParams(state), ...filterParams([...rest, goalFilter(goal)])];
    const asked =
      known.get(key) ??
      askStatistic(state.app ?? '', 'web', [...query, ['limit', '1']], signal).catch((error) => {
        known.delete(key);
        throw error;
      });
    known.set(key, asked);
    return asked;
  }
}

/**
 * Whether a filter asks for something else in the same field: of both, the server would count either.
 *
 * @param {Goal} goal
 * @param {import('../state.js').State} state
 */
function clashes({ field, value }, { filters }) {
  const same = filters.find((each) => each.field === field && each.operator === '');
  return same !== undefined && !(same.values.length === 1 && same.values[0] === value);
}

/** @param {{ goal: Goal, all: Visits, found: Visits | null }[]} rows */
function goalTable(rows) {
  const isPart = rows.some(({ all, found }) => all.complete === false || found?.complete === false);
  const clash = rows.some(({ found }) => found === null);
  return [
    h(
      'table',
      { class: 'counts web-counts', 'aria-label': 'Goals' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          h('th', { scope: 'col' }, 'Goal'),
          h('th', { scope: 'col', class: 'web-number' }, 'Visitors'),
          h('th', { scope: 'col', class: 'web-number web-share' }, 'Conversion'),
          h('th', { scope: 'col', class: 'web-goal' }, h('span', { class: 'hidden-text' }, 'Remove')),
        ),
      ),
      h('tbody', null, rows.map(goalRow)),
    ),
    clash &&
      h(
        'p',
        { class: 'empty-rows muted' },
        'A dash: a filter asks for something else by the same field. Remove it to see the goal.',
      ),
    isPart &&
      h(
        'p',
        { class: 'empty-rows muted', role: 'status' },
        '◐ Of a part of the range: it has more events than one question may read. Of a part there is no conversion.',
      ),
  ];
}

/** @param {{ goal: Goal, all: Visits, found: Visits | null }} row */
function goalRow({ goal, all, found }) {
  const { field, value } = goal;
  const whole = found && all.complete !== false && found.complete !== false;
  const share = whole && all.visitors > 0 ? found.visitors / all.visitors : null;
  return h(
    'tr',
    { style: { '--share': `${((share ?? 0) * 100).toFixed(2)}%` } },
    h(
      'th',
      { scope: 'row' },
      h(
        'div',
        { class: 'count-value' },
        valueButton(field, value, { label: h('bdi', null, cutText(value)) }),
        field === 'attr.path' && h('span', { class: 'muted web-page' }, 'page'),
      ),
    ),
    h('td', null, found ? numberText(found.visitors) : '–'),
    h('td', null, share === null ? '–' : formatShare(share)),
    h(
      'td',
      { class: 'web-goal' },
      h(
        'button',
        {
          type: 'button',
          class: 'quiet icon web-mark',
          'aria-label': `Remove the goal ${cutText(value)}`,
          title: 'Remove',
          dataset: { focus: `remove ${field} ${value}` },
          on: { click: () => removeGoal(goal) },
        },
        '✕',
      ),
    ),
  );
}

function goalForm() {
  const field = h('input', {
    type: 'text',
    'aria-label': 'A goal: the name of an event, or the path of a page',
    placeholder: 'signup or /thanks',
    maxlength: '256',
    spellcheck: 'false',
    autocomplete: 'off',
    required: true,
  });
  const form = h('form', { class: 'row web-goal-form' }, field, h('button', { type: 'submit' }, 'Add goal'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    const goal = goalOf(text.startsWith('/') ? 'attr.path' : 'name', text);
    if (goal) {
      field.value = '';
      addGoal(goal);
    }
  });
  return form;
}
