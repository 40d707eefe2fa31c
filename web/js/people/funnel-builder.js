import { attributesOf } from '../attributes.js';
import { fill, h } from '../dom.js';
import { cutText } from '../event-row.js';
import { describeFilter, parseFilter } from '../filter-text.js';
import { maySeeData } from '../page.js';
import { currentState } from '../state.js';
import { LEAST_STEPS, MOST_STEPS, stepsOf, stepText, textOfSteps } from './funnel-state.js';
import { lastAsked } from './last-asked.js';
import { namePicker } from './name-picker.js';
import { BY, keepControl, optionChoice, setOptions } from './parts.js';

/** @typedef {import('./funnel-state.js').Step} Step */

const FUNNEL_WITHIN = /** @type {const} */ ([
  ['7d', '7 days'],
  ['30m', '30 minutes'],
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['30d', '30 days'],
  ['90d', '90 days'],
]);

/** Attributes that are offered for a breakdown. */
const OFFERED_PATHS = 200;

/**
 * What a funnel is made of: its steps, and how they are counted.
 *
 * @param {import('../page.js').Account} account
 */
export function funnelBuilder(account) {
  const picker = namePicker('Add a step', (name) => {
    const steps = stepsOf(currentState());
    if (steps.length < MOST_STEPS) {
      change([...steps, [{ field: 'name', operator: '', values: [name] }]]);
    }
  });
  const list = h('ol', { class: 'steps', 'aria-label': 'Steps' });
  const tools = h('div', { class: 'row people-tools' });
  const hint = h('p', { class: 'people-note' });
  const element = h(
    'section',
    { class: 'panel people-build', 'aria-label': 'Steps of the funnel' },
    list,
    hint,
    picker.element,
    tools,
  );
  let drawn = '';
  const updates = lastAsked();
  return { element, update };

  /** @param {import('../state.js').State} state */
  function update(state) {
    const steps = stepsOf(state);
    picker.element.hidden = steps.length >= MOST_STEPS;
    hint.hidden = steps.length >= LEAST_STEPS && steps.length < MOST_STEPS;
    fill(
      hint,
      steps.length >= MOST_STEPS
        ? `A funnel has at most ${MOST_STEPS} steps.`
        : steps.length === 0
          ? 'Choose the events that people go through, in order: two or more.'
          : 'Choose the next one.',
    );
    picker.update(state);
    const text = textOfSteps(steps);
    if (text !== drawn) {
      drawn = text;
      keepControl(list, () =>
        fill(
          list,
          steps.map((step, at) => stepItem(step, at, steps)),
        ),
      );
    }
    list.hidden = steps.length === 0;
    showTools(state);
  }

  /** @param {import('../state.js').State} state */
  async function showTools(state) {
    const { by = '', within = '', breakdown = '' } = state.options;
    const isLast = updates.begin();
    const paths = maySeeData(account) ? ((await attributesOf(state.app ?? '').catch(() => null)) ?? []) : [];
    if (!isLast()) {
      return;
    }
    const kinds = /** @type {const} */ ([
      ['', 'nothing'],
      ['level', 'level'],
      ['category', 'category'],
      ['slug', 'slug'],
    ]);
    const attributes = paths.slice(0, OFFERED_PATHS).map(({ path }) => /** @type {const} */ ([`attr.${path}`, path]));
    keepControl(tools, () =>
      fill(
        tools,
        optionChoice('Within', 'within', FUNNEL_WITHIN, within || '7d'),
        optionChoice('Count', 'by', BY, by || 'user'),
        optionChoice('Divided by', 'breakdown', [...kinds, ...attributes], breakdown),
      ),
    );
  }
}

/** @param {Step[]} steps */
function change(steps) {
  // Who is listed belongs to a step that may be another one now.
  setOptions({ steps: textOfSteps(steps), step: '', left: '' });
}

/**
 * @param {Step} step
 * @param {number} at
 * @param {Step[]} steps
 */
function stepItem(step, at, steps) {
  const [first, ...others] = step;
  const title = stepText(step);
  const swap = (/** @type {number} */ to) => {
    const next = [...steps];
    next.splice(to, 0, ...next.splice(at, 1));
    change(next);
    // The focus goes with the step.
    const same = document.querySelector(`.steps [data-focus="${to < at ? 'up' : 'down'}-${to}"]:not(:disabled)`);
    const other = document.querySelector(`.steps [data-focus="${to < at ? 'down' : 'up'}-${to}"]`);
    const target = same ?? other;
    if (target instanceof HTMLElement) {
      target.focus();
    }
  };
  const remove = () => change(steps.filter((_, index) => index !== at));
  return h(
    'li',
    { class: 'step' },
    h('bdi', { class: 'step-name cut', title }, first ? cutText(stepText([first])) : ''),
    others.map((filter) => {
      const words = describeFilter(filter);
      const drop = () => change(steps.map((each) => (each === step ? each.filter((one) => one !== filter) : each)));
      return h(
        'span',
        { class: 'chip' },
        h('bdi', { class: 'chip-values', title: words }, cutText(words)),
        h(
          'button',
          { type: 'button', class: 'chip-button', 'aria-label': `Remove ${words}`, on: { click: drop } },
          '✕',
        ),
      );
    }),
    conditionForm(step, at, steps),
    h('div', { class: 'spacer' }),
    h(
      'div',
      { class: 'step-buttons' },
      stepButton('↑', `Move ${title} up`, `up-${at}`, at === 0, () => swap(at - 1)),
      stepButton('↓', `Move ${title} down`, `down-${at}`, at === steps.length - 1, () => swap(at + 1)),
      stepButton('✕', `Remove ${title}`, `remove-${at}`, false, remove),
    ),
  );
}

/**
 * @param {string} text
 * @param {string} label
 * @param {string} focus
 * @param {boolean} disabled
 * @param {() => void} click
 */
function stepButton(text, label, focus, disabled, click) {
  return h(
    'button',
    {
      type: 'button',
      class: 'quiet icon',
      'aria-label': label,
      title: label,
      disabled,
      dataset: { focus },
      on: { click },
    },
    text,
  );
}

/**
 * A field for one more condition of a step.
 *
 * @param {Step} step
 * @param {number} at
 * @param {Step[]} steps
 */
function conditionForm(step, at, steps) {
  const input = h('input', {
    type: 'text',
    class: 'step-filter',
    placeholder: 'only where …',
    'aria-label': `Condition of ${stepText(step)}`,
    title: 'Such as “slug is basic”, “level is ERROR” or “amount >= 20”. Enter adds it',
    maxlength: '300',
    spellcheck: 'false',
    autocomplete: 'off',
    dataset: { focus: `where-${at}` },
  });
  input.addEventListener('input', () => input.setCustomValidity(''));
  const form = h('form', null, input);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const found = parseFilter(input.value);
    const wrong = typeof found === 'string' ? found : null;
    const taken =
      typeof found !== 'string' &&
      step.some(({ field, operator }) => field === found.field && operator === found.operator);
    if (wrong || taken) {
      input.setCustomValidity(wrong ?? 'The step has a condition of this kind already: remove it first.');
      input.reportValidity();
    } else if (typeof found !== 'string') {
      change(steps.map((each) => (each === step ? [...each, found] : each)));
    }
  });
  return form;
}
