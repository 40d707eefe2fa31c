import { svg } from './dom.js';
import { formatCount, formatTime } from './format.js';
import { wallClock } from './zone.js';

/** Draws the columns of a chart. Each series is one path, so 2,000 buckets of six levels are six elements. */

const LEFT = 48;
const RIGHT = 8;
const TOP = 12;
const AXIS = 20;
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
  const scale = scaleOf(Math.max(1, ...finite(totals), ...finite(data.previous ?? [])), base - TOP);
  const pattern = `hatch-${++hatches}`;
  const cursor = svg('rect', { class: 'chart-cursor', y: TOP, width: 0, height: height + STRIP - TOP });
  const stripBase = height + STRIP - 1;
  const element = svg(
    'svg',
    { width, height: height + (data.strip ? STRIP : 0), 'aria-hidden': 'true' },
    hatch(pattern),
    scale.ticks.map((value) => gridLine(value, base - value * scale.factor, width)),
    cursor,
    columns(data.series, count, step, base, scale.factor),
    data.strip && strip(data.strip, count, step, stripBase, width),
    growing(data, step, pattern, height),
    comparison(data.previous ?? null, step, base, scale.factor),
    axis(data, step, base, width),
    marks(data.marks ?? [], step, base),
  );
  return {
    element,
    /** @param {number} column */
    centre: (column) => LEFT + (column + 0.5) * step,
    /** @param {number} x */
    columnAt: (x) => (count === 0 ? -1 : Math.max(0, Math.min(count - 1, Math.floor((x - LEFT) / step)))),
    /**
     * @param {number} first -1 for none
     * @param {number} last
     */
    select: (first, last) => {
      cursor.setAttribute('x', String(LEFT + Math.max(0, first) * step));
      cursor.setAttribute('width', String(first < 0 ? 0 : (last - first + 1) * step));
    },
  };
}

/**
 * @param {import('./chart.js').Series[]} series
 * @param {number} count
 */
function sums(series, count) {
  return Array.from({ length: count }, (_, i) => series.reduce((all, { values }) => all + (values[i] ?? 0), 0));
}

/**
 * @param {(number | null)[]} values
 * @returns {number[]}
 */
function finite(values) {
  return /** @type {number[]} */ (values.filter((each) => each !== null));
}

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

/** @param {string} id */
function hatch(id) {
  return svg(
    'defs',
    null,
    svg(
      'pattern',
      { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
      svg('rect', { class: 'chart-hatch', width: 2.5, height: 6 }),
    ),
  );
}

/**
 * @param {number} value
 * @param {number} y
 * @param {number} width
 */
function gridLine(value, y, width) {
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
 * Hatches the columns that may still grow.
 *
 * @param {import('./chart.js').ChartData} data
 * @param {number} step
 * @param {string} pattern
 * @param {number} height
 */
function growing(data, step, pattern, height) {
  const first = data.growing?.indexOf(true) ?? -1;
  if (first < 0) {
    return null;
  }
  const x = LEFT + first * step;
  const width = (data.starts.length - first) * step;
  const fill = `url(#${pattern})`;
  return [
    svg('rect', { x, y: TOP, width, height: height - AXIS - TOP, fill }),
    data.strip && svg('rect', { x, y: height, width, height: STRIP - 1, fill }),
  ];
}

/**
 * @param {(number | null)[] | null} previous
 * @param {number} step
 * @param {number} base
 * @param {number} factor
 */
function comparison(previous, step, base, factor) {
  const points = (previous ?? [])
    .map((value, i) =>
      value === null ? '' : `${(LEFT + (i + 0.5) * step).toFixed(1)},${(base - value * factor).toFixed(1)}`,
    )
    .filter(Boolean)
    .join(' ');
  return (
    points && [
      svg('polyline', { class: 'chart-before halo', points }),
      svg('polyline', { class: 'chart-before', points }),
    ]
  );
}

/** @type {Record<string, number[]>} */
const TICK_STEPS = {
  MINUTE: [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440],
  HOUR: [1, 2, 3, 6, 12, 24, 48, 72, 168],
  DAY: [1, 2, 7, 14, 28, 91],
  WEEK: [1, 2, 4, 13, 26],
  MONTH: [1, 2, 3, 6, 12, 24],
};

/**
 * The labels of the time axis, at round times of the wall clock.
 *
 * @param {import('./chart.js').ChartData} data
 * @param {number} step
 * @param {number} base
 * @param {number} width
 */
function axis(data, step, base, width) {
  const { starts, interval, tz } = data;
  const steps = TICK_STEPS[interval] ?? [1];
  const every = steps.find((each) => each * step >= 72) ?? Math.ceil(72 / step);
  return starts.map((start, i) => {
    const wall = new Date(`${wallClock(start, tz)}Z`);
    if (Math.floor(ordinal(wall, interval, i)) % every !== 0) {
      return null;
    }
    const midnight = wall.getUTCHours() === 0 && wall.getUTCMinutes() === 0;
    const precision =
      interval === 'MONTH' ? 'month' : interval === 'MINUTE' || interval === 'HOUR' ? 'minute' : 'monthDay';
    const x = LEFT + (i + 0.5) * step;
    const near = width - x < 32;
    return svg(
      'text',
      { x: near ? width - RIGHT : x, y: base + 15, 'text-anchor': near ? 'end' : 'middle' },
      formatTime(start, tz, precision === 'minute' && midnight ? 'monthDay' : precision),
    );
  });
}

/**
 * @param {Date} wall
 * @param {string} interval
 * @param {number} index
 */
function ordinal(wall, interval, index) {
  switch (interval) {
    case 'MINUTE':
      return wall.getTime() / 60_000;
    case 'HOUR':
      return wall.getTime() / 3_600_000;
    case 'DAY':
      return wall.getTime() / 86_400_000;
    case 'MONTH':
      return wall.getUTCFullYear() * 12 + wall.getUTCMonth();
    default:
      return index;
  }
}

/**
 * @param {string[][]} texts
 * @param {number} step
 * @param {number} base
 */
function marks(texts, step, base) {
  return texts.map((each, i) => {
    const x = LEFT + (i + 0.5) * step;
    return (
      each.length > 0 &&
      svg(
        'g',
        { class: 'chart-mark' },
        svg('line', { x1: x, x2: x, y1: TOP - 4, y2: base }),
        svg('path', { d: `M${x - 5} 0h10l-5 8z` }),
      )
    );
  });
}
