import { appPath, get } from '../api.js';
import { attributesOf } from '../attributes.js';
import { fill, h } from '../dom.js';
import { bucketLabel, formatExact } from '../format.js';
import { maySeeData } from '../page.js';
import { Panel } from '../panel.js';
import { filterParams } from '../state.js';
import { numberText } from '../value.js';
import { lastAsked } from './last-asked.js';
import { chartLines } from './lines.js';
import {
  bucketStarts,
  chartFrame,
  coverageNote,
  coveredRange,
  figures,
  intervalChoices,
  keepControl,
  optionChoice,
  peopleRange,
  sentence,
  setOptions,
  showAllowed,
} from './parts.js';
import { seriesPanel } from './series.js';

/** @typedef {import('../overview/reply.js').Interval} Interval */

/** @type {Interval[]} */
const NUMBER_INTERVALS = ['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'];

const QUANTILES = /** @type {const} */ ([
  ['p50', 'Median', 'info'],
  ['p90', '90 %', 'warn'],
  ['p99', '99 %', 'fatal'],
]);

/** The figures, in their order. */
const SUMMARY = /** @type {const} */ ([
  ['count', 'Count', 'Events that have a number there'],
  ['sum', 'Sum', ''],
  ['mean', 'Mean', ''],
  ['min', 'Smallest', ''],
  ['max', 'Largest', ''],
  ['p50', 'Median', 'Half of all are no larger'],
  ['p90', '90 %', '90 % of all are no larger'],
  ['p99', '99 %', '99 % of all are no larger'],
]);

const exactly = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 15 });
const shortly = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const compactly = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 4 });

/**
 * The numbers at a path of `data`.
 *
 * @param {import('../page.js').Account} account
 * @returns {import('../people.js').PeopleTab}
 */
export function numbersTab(account) {
  const select = h('select', { dataset: { focus: 'attr' } });
  select.addEventListener('change', () => setOptions({ attr: select.value }));
  const picker = h('label', { class: 'people-choice' }, h('span', { class: 'muted' }, 'Attribute'), select);
  const tools = h('div', { class: 'row people-tools' });
  const chart = seriesPanel('Quantiles over time', { draws: chartLines, tells: quantileTip });
  const cards = h('div');
  const note = h('div');
  const panel = new Panel({ what: 'Numbers', class: 'people-panel' });
  panel.element.prepend(h('div', { class: 'panel-head' }, picker, h('div', { class: 'spacer' }), tools));
  const asked = lastAsked();
  const updates = lastAsked();
  /** @type {any} */
  let reply = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  return {
    element: h('div', { class: 'people-view' }, panel.element),
    update,
    close: () => {
      updates.begin();
      panel.close();
      chart.close();
    },
  };

  /** @param {import('../state.js').State} next */
  async function update(next) {
    state = next;
    if (!maySeeData(account)) {
      picker.hidden = true;
      fill(panel.body, sentence('This link shows no numbers of events: it hides data.'));
      return;
    }
    const isLast = updates.begin();
    const all = await attributesOf(next.app ?? '').catch(() => null);
    if (!isLast()) {
      return;
    }
    const paths = (all ?? []).filter(({ kind }) => kind === 'number' || kind === 'mixed').map(({ path }) => path);
    const attr = next.options.attr || paths[0] || '';
    const offered = [...new Set(attr ? [...paths, attr] : paths)];
    fill(
      select,
      offered.map((path) => h('option', { value: path, selected: path === attr }, path)),
    );
    picker.hidden = offered.length === 0;
    const { chosen, choices } = intervalChoices(next, NUMBER_INTERVALS, 2_000);
    keepControl(tools, () => fill(tools, optionChoice('Interval', 'interval', choices, chosen)));
    tools.hidden = !attr;
    if (!attr) {
      fill(panel.body, sentence('None of the newest events has a number in its data, such as {"amount": 19.9}.'));
      return;
    }
    const query = JSON.stringify([...peopleRange(next, chosen), ['attr', attr], ...filterParams(next.filters)]);
    if (!asked.isNew(query)) {
      show();
      return;
    }
    reply = null;
    showAllowed(
      panel,
      (signal) => get(appPath(next.app ?? '', 'stats', 'numbers'), JSON.parse(query), signal),
      (found) => {
        if (found.count === 0) {
          return [coverageNote(found, next), sentence(`No event of this range has a number at ${attr}.`)];
        }
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
    const { interval, tz, series } = reply;
    fill(
      cards,
      figures(
        'Figures',
        SUMMARY.map(([key, label, title]) => {
          const value = reply[key];
          const text = key === 'count' ? numberText(value) : figureText(value);
          return title ? { label, value: text, title } : { label, value: text };
        }),
      ),
    );
    const starts = bucketStarts(coveredRange(reply), interval, tz, state.weekStart);
    const found = new Map(series.map((/** @type {any} */ each) => [Date.parse(each.bucket_start), each]));
    /** @param {string} key */
    const valuesOf = (key) => starts.map((start) => found.get(start)?.[key] ?? Number.NaN);
    /** @param {string} key */
    const columnOf = (key) => starts.map((start) => found.get(start)?.[key] ?? null);
    chart.update(
      {
        ...chartFrame(starts, interval, state, coveredRange(reply).until),
        series: QUANTILES.map(([key, label, color]) => ({ label, color, values: valuesOf(key).map(Number) })),
      },
      {
        title: 'Over time',
        state,
        text: (value) => (Number.isFinite(value) ? exactly.format(value) : '–'),
        columns: [
          { label: 'Count', values: columnOf('count'), text: formatExact },
          { label: 'Sum', values: columnOf('sum'), text: exactly.format },
          { label: 'Mean', values: columnOf('mean'), text: shortly.format },
        ],
      },
    );
    fill(note, coverageNote(reply, state));
  }
}

/** @param {number | null} value */
function figureText(value) {
  if (value === null || value === undefined) {
    return '–';
  }
  const number = Number(value);
  const text = Math.abs(number) < 1e7 ? shortly.format(number) : compactly.format(number);
  return h('span', { title: exactly.format(number) }, text);
}

/**
 * The values of a column. Quantiles of several columns are not known.
 *
 * @param {import('../chart.js').ChartData} data
 * @param {number} first
 * @param {number} last
 */
function quantileTip(data, first, last) {
  const value = (/** @type {number[]} */ values) => (first === last ? values[last] : Number.NaN);
  return [
    h('p', { class: 'chart-tip-time' }, bucketLabel(data, first, last)),
    h(
      'dl',
      null,
      data.series.map(({ label, color, values }) => {
        const each = value(values) ?? Number.NaN;
        return [
          h('dt', null, h('i', { class: 'swatch', style: { background: `var(--${color})` } }), label),
          h('dd', null, Number.isFinite(each) ? shortly.format(each) : '–'),
        ];
      }),
    ),
  ];
}
