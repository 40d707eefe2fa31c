import { AXIS, axis, gridLine, LEFT, RIGHT, TOP } from '../chart-columns.js';
import { svg } from '../dom.js';

/**
 * Draws series as lines, in place of columns. A bucket without a value leaves a gap; one value between two gaps is a dot.
 *
 * @param {import('../chart.js').ChartData} data
 * @param {number} width
 * @param {number} height
 */
export function chartLines(data, width, height) {
  const count = data.starts.length;
  const step = (width - LEFT - RIGHT) / Math.max(1, count);
  const base = height - AXIS;
  const values = data.series.flatMap((each) => each.values).filter(Number.isFinite);
  const ticks = roundTicks(Math.min(0, ...values), Math.max(0, ...values));
  const low = ticks[0] ?? 0;
  const factor = (base - TOP) / ((ticks.at(-1) ?? 1) - low || 1);
  const y = (/** @type {number} */ value) => base - (value - low) * factor;
  const centre = (/** @type {number} */ column) => LEFT + (column + 0.5) * step;
  const cursor = svg('rect', { class: 'chart-cursor', y: TOP, width: 0, height: base - TOP });
  const element = svg(
    'svg',
    { width, height, 'aria-hidden': 'true' },
    ticks.map((value) => gridLine(value, y(value), width)),
    cursor,
    data.series.map((each, at) =>
      svg('path', {
        class: `chart-line line-${at}`,
        d: linePath(each.values, centre, y),
        style: { stroke: `var(--${each.color})` },
      }),
    ),
    axis(data, step, base, width),
  );
  return {
    element,
    centre,
    /** @param {number} x */
    columnAt: (x) => (count === 0 ? -1 : Math.max(0, Math.min(count - 1, Math.floor((x - LEFT) / step)))),
    /** @type {(first: number, last: number) => void} */
    select: (first, last) => {
      cursor.setAttribute('x', String(LEFT + first * step));
      cursor.setAttribute('width', String(first < 0 ? 0 : (last - first + 1) * step));
    },
  };
}

/**
 * @param {number[]} values NaN where there is none
 * @param {(column: number) => number} x
 * @param {(value: number) => number} y
 */
function linePath(values, x, y) {
  return values
    .map((value, at) => {
      if (!Number.isFinite(value)) {
        return '';
      }
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      // A line of no length shows by its round ends.
      return Number.isFinite(values[at - 1] ?? Number.NaN) ? `L${place}` : `M${place}h0`;
    })
    .join('');
}

/**
 * Some four round numbers from one to another, which they hold.
 *
 * @param {number} from
 * @param {number} to
 */
function roundTicks(from, to) {
  const span = to - from || 1;
  const power = 10 ** Math.floor(Math.log10(span / 3));
  const unit = ([1, 2, 5, 10].find((each) => each * power * 3 >= span) ?? 10) * power;
  const first = Math.floor(from / unit);
  const last = Math.max(first + 1, Math.ceil(to / unit));
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * unit).toPrecision(12)));
}
