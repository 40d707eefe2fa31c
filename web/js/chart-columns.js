import { svg } from './dom.js';
import { formatCount, formatTime } from './format.js';
import { wallClock } from './zone.js';

/** Draws the columns of a chart. Each series is one path, so 2,000 buckets of six levels are six elements. */

/** The room around the columns. */
export const LEFT = 48;
export const RIGHT = 8;
export const TOP = 12;
export const AXIS = 20;
const STRIP = 40;

let hatches = 0;

/**
 * @param {import('./chart.js').ChartData} data
 * @param {number} width
 * @param {number} height of the columns with their axis; the strip comes below
 */
export function chartColumns(data, width, height) {
  const count = data.starts.length;
  const step = (width - LEFT - RIGHT) / Math.max(1, count);
  const base = height - AXIS;
  const totals = sums(data.series, count);
  const most = Math.max(1, ...totals, ...(data.previous ?? []).map(Number));
  // One far above would leave no height to the columns.
  const lines = (data.thresholds ?? []).filter((each) => each <= most * 3);
  const scale = scaleOf(Math.max(most, ...lines), base - TOP);
  const pattern = `hatch-${++hatches}`;
  const cursor = svg('rect', { class: 'chart-cursor', y: TOP, width: 0, height: height + STRIP });
  const bottom = height + (data.strip ? STRIP : 0);
  const grows = data.growing?.indexOf(true) ?? -1;
  const element = svg(
    'svg',
    { width, height: bottom, 'aria-hidden': 'true' },
    hatch(pattern),
    scale.ticks.map((value) => gridLine(value, base - value * scale.factor, width)),
    cursor,
    columns(data.series, count, step, base, scale.factor),
    data.strip && strip(data.strip, count, step, bottom - 1, width),
    grows >= 0 && svg('rect', { ...span(grows, count - 1), y: TOP, height: bottom - TOP, fill: `url(#${pattern})` }),
    data.previous && comparison(data.previous, step, base, scale.factor),
    lines.map((value) => thresholdLine(base - value * scale.factor, width)),
    axis(data, step, base, width),
    marks(data.marks ?? [], step, base),
  );
  return {
    element,
    /** @param {number} column */
    centre: (column) => LEFT + (column + 0.5) * step,
    /** @param {number} x */
    columnAt: (x) => (count === 0 ? -1 : Math.max(0, Math.min(count - 1, Math.floor((x - LEFT) / step)))),
    /** @type {(first: number, last: number) => void} */
    select: (first, last) => {
      for (const [name, value] of Object.entries(span(first, last))) {
        cursor.setAttribute(name, String(value));
      }
    },
  };

  /** @type {(first: number, last: number) => { x: number, width: number }} */
  function span(first, last) {
    return { x: LEFT + first * step, width: first < 0 ? 0 : (last - first + 1) * step };
  }
}

/** @type {(series: import('./chart.js').Series[], count: number) => number[]} */
const sums = (series, count) =>
  Array.from({ length: count }, (_, i) => series.reduce((all, { values }) => all + (values[i] ?? 0), 0));

/**
 * A scale of round numbers.
 *
 * @param {number} max
 * @param {number} room in pixels
 */
function scaleOf(max, room) {
  const power = 10 ** Math.floor(Math.log10(max / 3));
  const unit = Math.max(1, ([1, 2, 5, 10].find((each) => each * power * 3 >= max) ?? 10) * power);
  const top = Math.ceil(max / unit) * unit;
  const ticks = Array.from({ length: Math.round(top / unit) }, (_, i) => (i + 1) * unit);
  return { factor: room / top, ticks: [0, ...ticks] };
}

/**
 * @param {number} y
 * @param {number} width
 */
function thresholdLine(y, width) {
  return svg('line', { class: 'chart-threshold', x1: LEFT, x2: width - RIGHT, y1: y, y2: y });
}

/** @param {string} id */
function hatch(id) {
  const line = svg('rect', { class: 'chart-hatch', width: 2.5, height: 6 });
  const size = { width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' };
  return svg('defs', null, svg('pattern', { id, ...size }, line));
}

/**
 * @param {number} value
 * @param {number} y
 * @param {number} width
 */
export function gridLine(value, y, width) {
  return svg(
    'g',
    null,
    svg('line', { class: 'chart-grid', x1: LEFT, x2: width - RIGHT, y1: y + 0.5, y2: y + 0.5 }),
    svg('text', { x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, formatCount(value)),
  );
}

/**
 * Stacked columns, one path for each series. Fills that touch are 1 px apart, where there is room.
 *
 * @param {import('./chart.js').Series[]} series
 * @param {number} count
 * @param {number} step
 * @param {number} base
 * @param {number} factor pixels of one event
 */
function columns(series, count, step, base, factor) {
  const gap = step >= 4 ? 1 : 0;
  const tops = new Float64Array(count).fill(base);
  return series.map(({ color, values }) => {
    const parts = [];
    for (let i = 0; i < count; i += 1) {
      const tall = (values[i] ?? 0) * factor;
      if (tall > 0) {
        const y = tops[i] ?? base;
        const shown = tall > 2 ? tall - 1 : Math.max(tall, 0.5);
        const x = (LEFT + i * step).toFixed(1);
        const w = (step - gap).toFixed(1);
        parts.push(`M${x} ${y.toFixed(1)}v${(-shown).toFixed(1)}h${w}V${y.toFixed(1)}z`);
        tops[i] = y - tall;
      }
    }
    return svg('path', { d: parts.join(''), style: { fill: `var(--${color})` } });
  });
}

/**
 * Columns of errors on a scale of their own.
 *
 * @param {import('./chart.js').Series[]} series
 * @param {number} count
 * @param {number} step
 * @param {number} base
 * @param {number} width
 */
function strip(series, count, step, base, width) {
  const max = Math.max(0, ...sums(series, count));
  return [
    svg('line', { class: 'chart-grid', x1: LEFT, x2: width - RIGHT, y1: base + 0.5, y2: base + 0.5 }),
    svg('text', { x: LEFT - 8, y: base - STRIP + 16, 'text-anchor': 'end' }, formatCount(max)),
    svg('text', { x: LEFT - 8, y: base, 'text-anchor': 'end' }, 'errors'),
    max > 0 && columns(series, count, step, base, (STRIP - 8) / max),
  ];
}

/**
 * The period before, as a line.
 *
 * @param {(number | null)[]} previous
 * @param {number} step
 * @param {number} base
 * @param {number} factor
 */
function comparison(previous, step, base, factor) {
  const points = previous.map((value, i) =>
    value === null ? '' : `${(LEFT + (i + 0.5) * step).toFixed(1)},${(base - value * factor).toFixed(1)}`,
  );
  return svg('polyline', { class: 'chart-before', points: points.join(' ') });
}

/** Columns between two labels of the time axis, and how long a column is; a month has no length. */
/** @type {Record<string, [number, number[]]>} */
const TICKS = {
  MINUTE: [60_000, [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440]],
  HOUR: [3_600_000, [1, 2, 3, 6, 12, 24, 48, 72, 168]],
  DAY: [86_400_000, [1, 2, 7, 14, 28, 91]],
  WEEK: [0, [1, 2, 4, 13, 26]],
  MONTH: [0, [1, 2, 3, 6, 12, 24]],
};

/**
 * The labels of the time axis, at round times of the wall clock.
 *
 * @param {import('./chart.js').ChartData} data
 * @param {number} step
 * @param {number} base
 * @param {number} width
 */
export function axis({ starts, interval, tz }, step, base, width) {
  const [length, steps] = TICKS[interval] ?? [0, []];
  const every = steps.find((each) => each * step >= 72) ?? Math.ceil(72 / step);
  return starts.map((start, i) => {
    const wall = Date.parse(`${wallClock(start, tz)}Z`);
    if ((length ? Math.floor(wall / length) : i) % every !== 0) {
      return null;
    }
    const ofDay = length > 0 && length < 86_400_000 && wall % 86_400_000 !== 0;
    const text = formatTime(start, tz, interval === 'MONTH' ? 'month' : ofDay ? 'minute' : 'monthDay');
    const x = Math.min(LEFT + (i + 0.5) * step, width - 20);
    return svg('text', { x, y: base + 15, 'text-anchor': 'middle' }, text);
  });
}

/** @type {(texts: string[][], step: number, base: number) => readonly any[]} */
const marks = (texts, step, base) =>
  texts.map((each, i) => {
    const x = LEFT + (i + 0.5) * step;
    return each.length > 0 && svg('path', { class: 'chart-mark', d: `M${x - 5} 0h10l-5 8V${base}V8z` });
  });
