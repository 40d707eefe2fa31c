import { ApiError } from '../api.js';
import { changeText } from '../change.js';
import { chartColumns } from '../chart-columns.js';
import { fill, h } from '../dom.js';
import { bucketLabel } from '../format.js';
import { Panel } from '../panel.js';
import { chartLines } from '../people/lines.js';
import {
  bucketStarts,
  chartFrame,
  coverageNote,
  coveredRange,
  figures,
  intervalChoices,
  keepControl,
  optionChoice,
  showAllowed,
} from '../people/parts.js';
import { seriesPanel } from '../people/series.js';
import { numberText } from '../value.js';
import { clockLength, MEASURES } from './measures.js';

/** @typedef {import('./asks.js').Visits} Visits */
/** @typedef {import('./measures.js').Measure} Measure */

/** @type {import('../overview/reply.js').Interval[]} */
export const VISIT_INTERVALS = ['MINUTE', 'HOUR', 'DAY', 'WEEK', 'MONTH'];

/** Columns of the chart, at most: the API gives as many. */
export const MOST_VISIT_COLUMNS = 2_000;

const DAY_OF_UTC = 86_400_000;

/**
 * The numbers of visits with their change, and a chart of one of them.
 *
 * @param {{ answered: (reply: Visits) => void, refused: () => void }} listeners
 */
export function visitNumbers({ answered, refused }) {
  const panel = new Panel({ what: 'Numbers of visits', class: 'people-panel web-numbers' });
  let measure = /** @type {Measure} */ (MEASURES[0]);
  const chart = seriesPanel('Visits over time', {
    draws: (data, width, height) => (measure.rate ? chartLines : chartColumns)(data, width, height),
    tells: (data, first, last) => visitTip(data, first, last, measure),
  });
  const cards = h('div');
  const above = h('div');
  const below = h('p', { class: 'people-note web-note' });
  /** @type {import('./asks.js').WebAsks | null} */
  let asked = null;
  /** @type {Visits | null} */
  let reply = null;
  /** @type {Visits | null} */
  let before = null;
  /** @type {import('../state.js').State | null} */
  let state = null;
  return {
    element: panel.element,
    update,
    close: () => {
      panel.close();
      chart.close();
    },
  };

  /**
   * @param {import('../state.js').State} next
   * @param {import('./asks.js').WebAsks} asks
   */
  function update(next, asks) {
    state = next;
    if (asks === asked) {
      show();
      return;
    }
    asked = asks;
    reply = null;
    before = null;
    showAllowed(
      panel,
      () =>
        asks.visits().catch((error) => {
          if (error instanceof ApiError && error.status === 403 && asks === asked) {
            refused();
          }
          throw error;
        }),
      (found) => {
        reply = found;
        answered(found);
        compare(asks);
        // The chart is drawn once it is on the page, and has a width.
        queueMicrotask(show);
        return [above, cards, chart.element, below];
      },
    );
  }

  /** @param {import('./asks.js').WebAsks} asks */
  async function compare(asks) {
    // Numbers that nothing is compared with are better than none.
    const found = await asks.before().catch(() => null);
    if (found && asks === asked) {
      before = found;
      show();
    }
  }

  function show() {
    if (!state || !reply) {
      return;
    }
    const { options, tz, weekStart } = state;
    measure = MEASURES.find(({ key }) => key === options.metric) ?? /** @type {Measure} */ (MEASURES[0]);
    fill(above, coverageNote(reply, state));
    fill(cards, visitFigures(reply, before));
    fill(below, dailyNote(reply));
    const { chosen, choices } = intervalChoices(state, VISIT_INTERVALS, MOST_VISIT_COLUMNS);
    const read = coveredRange(reply);
    const starts = bucketStarts(read, chosen, tz, weekStart);
    /** @type {(reply: Visits, starts: number[], of: Measure) => number[]} */
    const valuesOf = ({ series }, columns, { key, rate }) => {
      const found = new Map(series.map((each) => [Date.parse(each.bucket_start), each]));
      return columns.map((start) => Number(found.get(start)?.[key] ?? (rate ? Number.NaN : 0)));
    };
    /** @param {number[]} values */
    const scaled = (values) => values.map((each) => each * measure.factor);
    const columnsBefore = before ? bucketStarts(coveredRange(before), chosen, tz, weekStart) : [];
    const valuesBefore = before ? scaled(valuesOf(before, columnsBefore, measure)) : null;
    const previous = valuesBefore ? starts.map((_, at) => valuesBefore[at] ?? null) : null;
    const values = scaled(valuesOf(reply, starts, measure));
    const series = [{ label: measure.label, color: 'info', values }];
    if (measure.rate && previous) {
      series.push({ label: 'Before', color: 'edge', values: previous.map((each) => each ?? Number.NaN) });
    }
    /** @type {(value: number) => string} */
    const write = (value) => (Number.isFinite(value) ? measure.write(value / measure.factor) : '–');
    const others = MEASURES.filter((each) => each !== measure);
    const now = reply;
    const shown = state;
    keepControl(chart.element, () =>
      chart.update(
        { ...chartFrame(starts, chosen, shown, read.until), series, ...(measure.rate ? {} : { previous }) },
        {
          title: `${measure.label}${measure.unit}`,
          state: shown,
          text: write,
          choices: [
            optionChoice(
              'Show',
              'metric',
              MEASURES.map(({ key, label }) => /** @type {const} */ ([key, label.toLowerCase()])),
              measure.key,
            ),
            optionChoice('Interval', 'interval', choices, chosen),
          ],
          columns: [
            ...(previous && !measure.rate ? [{ label: 'Before', values: previous, text: write }] : []),
            ...others.map((each) => ({
              label: each.label,
              values: valuesOf(now, starts, each),
              text: (/** @type {number} */ value) => (Number.isFinite(value) ? each.write(value) : '–'),
            })),
          ],
        },
      ),
    );
  }
}

/**
 * @param {Visits} reply
 * @param {Visits | null} before
 */
function visitFigures(reply, before) {
  return figures(
    'Visits',
    MEASURES.map(({ key, label, title, rate, write }) => {
      const value = reply[key];
      const known = value === null ? '–' : rate ? write(value) : numberText(value);
      const was = before?.[key] ?? null;
      const change =
        value === null || (rate && !was) ? null : changeText(value, was, { errors: key === 'bounce_rate', write });
      const median = key === 'mean_seconds' ? reply.median_seconds : null;
      return {
        label,
        title: median === null ? title : `${title}. The median is ${clockLength(median)}`,
        value: [h('span', { class: 'web-figure' }, known), h('span', { class: 'web-change' }, change)],
      };
    }),
  );
}

/**
 * That who comes again may count twice; a blank where nobody does.
 *
 * @param {Visits} reply
 */
function dailyNote(reply) {
  const { since, until } = coveredRange(reply);
  const dayOf = (/** @type {number} */ time) => Math.floor(time / DAY_OF_UTC);
  const last = Math.min(Date.parse(until), Date.now()) - 1;
  const several = dayOf(Date.parse(since)) < dayOf(last);
  return reply.anonymous > 0 && several ? 'Without a user, a visitor counts once a day.' : '';
}

/**
 * The value of a column. Of several, the sum where they can be added.
 *
 * @param {import('../chart.js').ChartData} data
 * @param {number} first
 * @param {number} last
 * @param {Measure} measure
 */
function visitTip(data, first, last, { adds, factor, write }) {
  /** @param {(number | null)[]} values */
  const text = (values) => {
    const chosen = values.slice(first, last + 1);
    const value = adds || first === last ? chosen.reduce((sum, each) => Number(sum) + Number(each ?? 0), 0) : null;
    return value !== null && Number.isFinite(value) ? write(value / factor) : '–';
  };
  return [
    h('p', { class: 'chart-tip-time' }, bucketLabel(data, first, last)),
    h(
      'dl',
      null,
      data.series.map(({ label, color, values }) => [
        h('dt', null, h('i', { class: 'swatch', style: { background: `var(--${color})` } }), label),
        h('dd', null, text(values)),
      ]),
      data.previous && [h('dt', null, 'Before'), h('dd', null, text(data.previous))],
    ),
  ];
}
