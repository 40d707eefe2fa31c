import { appPath, request } from '../api.js';
import { shownOnce } from '../create-key.js';
import { openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { describeFilter, LEVELS } from '../filter-text.js';
import { checkbox, choice, field, input, lineInput, linesOf, numberOf } from '../form.js';
import { COUNTED_FIELDS } from '../page.js';
import { parseState } from '../state.js';
import { allZones } from '../zone.js';
import { channelEditor } from './channel-editor.js';
import { clearFieldErrors, showAtFields } from './field-errors.js';
import { previewPart } from './preview.js';
import { channelText, isAboutIssues, lengthChoice } from './rule.js';

/** What a rule can wait for. */
const CONDITIONS = /** @type {[string, string][]} */ ([
  ['above', 'More events than …'],
  ['below', 'Fewer events than …'],
  ['changes_by', 'The number of events changes by …'],
  ['new_issue', 'An error is new'],
  ['regression', 'A resolved error occurs again'],
  ['report', 'A day or a week is over: a report'],
]);

/** How often a report comes. */
const REPORT_PERIODS = /** @type {[string, string][]} */ ([
  ['day', 'Each day'],
  ['week', 'Each week'],
]);

/** The days of the API with their names. */
const REPORT_WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'].map(
  (day) => /** @type {[string, string]} */ ([day.toLowerCase(), day]),
);

const RULE_WINDOWS = ['1m', '5m', '10m', '15m', '30m', '1h', '2h', '6h', '12h', '1d', '1w'];
const RULE_HOLDS = ['2m', '3m', '5m', '10m', '15m', '30m', '1h'];
const REMINDERS = ['5m', '15m', '30m', '1h', '6h', '12h', '1d', '1w'];

/** The fields of a filter that the form has; others stay as they are. */
const FORM_FIELDS = ['level', 'name', 'category', 'group'];

/**
 * Asks for a rule, new or changed, and shows the secrets of its new webhooks once.
 *
 * @param {import('../state.js').State} state whose filters a new rule has
 * @param {import('./rule.js').Rule | null} rule
 * @param {() => void} done
 */
export function openRuleForm(state, rule, done) {
  const app = state.app ?? '';
  const before = rule?.filter ?? filterOf(state);
  const condition = rule?.condition ?? { above: 20 };
  const kind = labelled('condition', choice('kind', CONDITIONS, CONDITIONS.find(([each]) => each in condition)?.[0]));
  const count = labelled(
    'condition.above condition.below condition.changes_by',
    input('count', { type: 'number', min: '0', step: '1', required: true, inputmode: 'numeric' }),
  );
  count.value = String(condition.above ?? condition.below ?? condition.changes_by ?? 20);
  const against = labelled(
    'condition.against',
    choice(
      'against',
      [
        ['1h', 'the hour before'],
        ['1d', 'the day before'],
        ['7d', 'the week before'],
      ],
      condition.against === '1w' ? '7d' : (condition.against ?? '1d'),
    ),
  );
  const direction = labelled(
    'condition.direction',
    choice(
      'direction',
      [
        ['any', 'Up or down'],
        ['up', 'Up'],
        ['down', 'Down'],
      ],
      condition.direction,
    ),
  );
  // A name by default says what the rule waits for, and follows it.
  const isNamed = rule && !rule.sentence.includes(` when ${rule.name}`);
  const name = labelled(
    'name',
    input(
      'name',
      { maxlength: '100', autocomplete: 'off', placeholder: 'What it waits for' },
      isNamed ? rule.name : null,
    ),
  );
  const channels = channelEditor(rule?.channels ?? null);
  const preview = previewPart(app, state.tz, previewBody, (error) => showAtFields(dialog, error));
  const counted = [
    halfField('Number', count, '1 is none at all.'),
    halfField('Within', labelled('window', lengthChoice('window', RULE_WINDOWS, rule?.window ?? '5m'))),
  ];
  const reported = reportFields(condition, state.tz);
  const compared = [halfField('Against', against), halfField('Direction', direction)];
  const lasting = [halfField('For', labelled('for', lengthChoice('for', RULE_HOLDS, rule?.for ?? null, 'At once')))];
  const countedFilter = [
    halfField('Categories', lines('category'), 'One a line.'),
    halfField('Groups', lines('group'), 'Ids, without names and categories.'),
  ];
  const renotify = labelled('renotify', lengthChoice('renotify', REMINDERS, rule?.renotify ?? null, 'Never'));
  const reminded = [halfField('Tell again while it fires', renotify)];
  const noneHint = /** @type {HTMLElement} */ (counted[0]?.querySelector('.hint'));
  const numberLabel = /** @type {HTMLElement} */ (count.parentElement).firstChild;
  const kept = keptFilter(before);
  kind.addEventListener('change', adapt);
  const dialog = openDialog(
    { title: rule ? 'Edit rule' : 'New rule', action: rule ? 'Save' : 'Create', closed: done },
    [
      h(
        'div',
        { class: 'settings-form' },
        field('Tell when', kind),
        counted,
        compared,
        reported,
        lasting,
        reminded,
        h(
          'fieldset',
          { class: 'field levels', dataset: { api: 'filter filter.level' } },
          h('legend', null, 'Levels'),
          h(
            'div',
            { class: 'row' },
            LEVELS.map((level) => checkbox('level', level, { value: level, checked: before.level?.includes(level) })),
          ),
          h('p', { class: 'hint' }, 'Without any: all levels.'),
        ),
        halfField('Names', lines('name'), 'One a line. Empty: all.'),
        countedFilter,
        kept.length > 0 && h('p', { class: 'muted breaking' }, `Also: ${kept.map(describeFilter).join('; ')}.`),
        channels.element,
        field('Name of the rule', name),
      ),
      preview.element,
    ],
    send,
  );
  dialog.classList.add('rule-dialog');
  dialog.querySelector('[name=report]')?.addEventListener('change', adapt);
  dialog.addEventListener('change', (event) => {
    if (!(event.target instanceof Element && event.target.closest('.channel-editor'))) {
      preview.clear();
    }
  });
  adapt();

  /** Shows the fields that the condition has. */
  function adapt() {
    const wanted = kind.value;
    const issues = isIssueKind(wanted);
    const report = wanted === 'report';
    showFields(countedFilter, !issues);
    showFields([...counted, ...lasting, ...reminded], !issues && !report);
    showFields(compared, wanted === 'changes_by');
    showFields(reported, report);
    const weekday = reported.filter((each) => each.querySelector('[name=weekday]'));
    showFields(weekday, report && dialog.querySelector('[name=report] option[value=week]:checked') !== null);
    noneHint.hidden = wanted !== 'below';
    count.min = wanted === 'above' ? '0' : '1';
    if (numberLabel) {
      numberLabel.textContent = wanted === 'changes_by' ? 'Percent' : 'Number';
    }
    preview.element.hidden = issues || report;
    clearFieldErrors(dialog);
  }

  /** What is typed, without the channels. */
  function typed() {
    const data = new FormData(/** @type {HTMLFormElement} */ (dialog.querySelector('form')));
    const wanted = kind.value;
    const issues = isIssueKind(wanted);
    /** @type {Record<string, string[]>} */
    const filter = {};
    for (const [field, values] of Object.entries(before)) {
      if (!FORM_FIELDS.includes(field) && (!issues || /^(level|name)\[ne\]$/.test(field))) {
        filter[field] = values;
      }
    }
    for (const field of issues ? ['level', 'name'] : FORM_FIELDS) {
      const values = field === 'level' ? data.getAll('level').map(String) : linesOf(data.get(`filter-${field}`));
      if (values?.length) {
        filter[field] = values;
      }
    }
    return {
      filter,
      condition: conditionOf(wanted, data),
      ...(hasWindow(wanted) ? { window: data.get('window') } : {}),
      for: data.get('for') || null,
      renotify: data.get('renotify') || null,
    };
  }

  function previewBody() {
    clearFieldErrors(dialog);
    const controls = [...dialog.querySelectorAll('input, select, textarea')];
    const wrong = controls.some(
      (each) => !each.closest('.channel-editor') && !(/** @type {HTMLInputElement} */ (each).reportValidity()),
    );
    return wrong ? null : { ...typed(), days: 7 };
  }

  /** @param {FormData} data */
  async function send(data) {
    clearFieldErrors(dialog);
    const typedRule = typed();
    const called = String(data.get('name')).trim() || (rule && (await nameOf(typedRule)));
    const body = { ...typedRule, ...(called ? { name: called } : {}), channels: channels.read() };
    try {
      const saved = rule
        ? await request('PATCH', appPath(app, 'alerts', rule.id), { body })
        : await request('POST', appPath(app, 'alerts'), { body });
      return secretsOf([saved]);
    } catch (error) {
      throw showAtFields(dialog, error);
    }
  }

  /**
   * The name of a changed rule by default: the API gives one to new rules alone.
   *
   * @param {ReturnType<typeof typed>} changed
   */
  async function nameOf(changed) {
    if (!hasWindow(kind.value)) {
      return null;
    }
    const body = { ...changed, for: null, days: 1 };
    // What is wrong with it, the change itself says.
    const found = await request('POST', appPath(app, 'alerts', 'preview'), { body }).catch(() => null);
    const text = found?.sentence.replace(/^Tell nobody when /, '') ?? '';
    return new TextEncoder().encode(text).length > 100 ? null : text;
  }

  /** @param {string} name */
  function lines(name) {
    const control = lineInput(`filter-${name}`, { rows: '2' }, before[name] ?? null);
    return labelled(`filter.${name}`, control);
  }
}

/**
 * The secrets of new webhooks, which are shown once; nothing where there is none.
 *
 * @param {import('./rule.js').Rule[]} rules
 */
export function secretsOf(rules) {
  const secrets = rules.flatMap(({ name, channels }) =>
    channels.flatMap((channel) =>
      channel.secret
        ? [
            h(
              'div',
              { class: 'secret' },
              h('h3', { class: 'breaking' }, `${channelText(channel)}${rules.length > 1 ? `, of “${name}”` : ''}`),
              shownOnce(`secret of ${channelText(channel)}`, channel.secret),
            ),
          ]
        : [],
    ),
  );
  const about = 'A webhook is signed with its secret (Standard Webhooks): the receiver checks it.';
  return secrets.length > 0 ? [h('p', null, about), ...secrets] : undefined;
}

/**
 * When a report comes.
 *
 * @param {import('./rule.js').RuleCondition} condition
 * @param {string} tz
 */
function reportFields(condition, tz) {
  const every = labelled('condition.report', choice('report', REPORT_PERIODS, condition.report));
  const weekday = labelled('condition.weekday', choice('weekday', REPORT_WEEKDAYS, condition.weekday));
  const at = labelled('condition.at', input('at', { type: 'time', required: true }, condition.at ?? '08:00'));
  const zones = allZones().map((each) => /** @type {[string, string]} */ ([each, each]));
  const zone = labelled('condition.tz', choice('tz', zones, condition.tz ?? tz));
  return [
    halfField('How often', every),
    halfField('On', weekday),
    halfField('At', at),
    halfField('By the clocks of', zone),
  ];
}

/**
 * @param {string} kind
 * @param {FormData} data
 */
function conditionOf(kind, data) {
  if (isIssueKind(kind)) {
    return { [kind]: true };
  }
  if (kind === 'report') {
    const weekday = data.get('weekday');
    return { report: data.get('report'), at: data.get('at'), tz: data.get('tz'), ...(weekday ? { weekday } : {}) };
  }
  const change = { against: data.get('against'), direction: data.get('direction') };
  return { [kind]: numberOf(data.get('count')), ...(kind === 'changes_by' ? change : {}) };
}

/**
 * Whether a rule of a kind is judged by windows, and so has a preview.
 *
 * @param {string} kind
 */
function hasWindow(kind) {
  return !isIssueKind(kind) && kind !== 'report';
}

/** @param {string} kind */
function isIssueKind(kind) {
  return isAboutIssues({ [kind]: true });
}

/**
 * Hides fields, with their controls, or shows them.
 *
 * @param {HTMLElement[]} fields
 * @param {boolean} shown
 */
function showFields(fields, shown) {
  for (const element of fields) {
    element.hidden = !shown;
    for (const control of element.querySelectorAll('input, select, textarea')) {
      /** @type {HTMLInputElement} */ (control).disabled = !shown;
    }
  }
}

/**
 * A control with the fields of the API that it sets.
 *
 * @template {HTMLElement} T
 * @param {string} fields
 * @param {T} control
 * @returns {T}
 */
function labelled(fields, control) {
  control.dataset.api = fields;
  return control;
}

/**
 * A field that takes half of the width.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
function halfField(label, control, hint) {
  const element = field(label, control, hint);
  element.classList.add('half');
  return element;
}

/**
 * The filters of a state that counters know.
 *
 * @param {import('../state.js').State} state
 */
function filterOf({ filters }) {
  const known = filters.filter(({ field, operator }) => COUNTED_FIELDS.includes(field) && /^(ne)?$/.test(operator));
  /** @type {Record<string, string[]>} */
  const filter = {};
  for (const { field, operator, values } of known) {
    filter[operator ? `${field}[${operator}]` : field] = values;
  }
  return filter;
}

/**
 * The conditions of a filter that the form does not show.
 *
 * @param {Record<string, string[]>} filter
 */
function keptFilter(filter) {
  const kept = Object.entries(filter).filter(([name]) => !FORM_FIELDS.includes(name));
  const params = kept.flatMap(([name, values]) => values.map((value) => [name, value]));
  return parseState(new URLSearchParams(params).toString()).filters;
}
