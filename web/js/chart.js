import { chartColumns } from './chart-columns.js';
import { h } from './dom.js';
import { bucketLabel, formatExact } from './format.js';

/**
 * One series of columns: a count for each bucket.
 *
 * @typedef {{ label: string, color: string, values: number[] }} Series `color` is a token of the style sheet, such as `fatal`
 */

/**
 * What a chart shows. Lists hold one entry for each bucket.
 *
 * @typedef {{
 *   interval: string,
 *   tz: string,
 *   starts: number[],
 *   ends: number[],
 *   series: Series[],
 *   strip?: Series[],
 *   previous?: (number | null)[] | null,
 *   marks?: string[][],
 *   growing?: boolean[],
 *   thresholds?: number[],
 * }} ChartData `series` from the baseline up, `strip` on a scale of its own below, `previous` as a line, `marks` are texts of
 *   annotations, `growing` columns are hatched, `thresholds` are lines
 */

/**
 * A chart of columns. A click or Enter on a column picks its range, a drag zooms into one, the arrow keys move from column to
 * column, and each column says its values.
 *
 * @param {{
 *   label: string,
 *   height?: number,
 *   pick?: (from: number, to: number) => void,
 *   zoom?: (from: number, to: number) => void,
 *   draws?: typeof chartColumns,
 *   tells?: (data: ChartData, first: number, last: number) => Node[],
 * }} options `draws` and `tells` take the place of columns and of their values
 * @returns {{ element: HTMLElement, update: (data: ChartData) => void, close: () => void }}
 */
export function createChart({ label, height = 220, pick, zoom, draws = chartColumns, tells = tipContent }) {
  const tip = h('div', { class: 'chart-tip', 'aria-hidden': 'true', hidden: true });
  const area = h('div', {
    class: 'chart-area',
    role: 'slider',
    tabindex: '0',
    'aria-label': label,
    'aria-valuemin': '0',
    'aria-valuenow': '0',
    // A pointer over the columns, or the arrow keys, mark one of them; a drag marks several.
    on: {
      pointermove: (event) => {
        dragging ||= from >= 0 && Boolean(zoom) && Math.abs(event.clientX - pressX) > 4;
        show(columnAt(event.clientX), dragging ? from : columnAt(event.clientX));
      },
      pointerdown: (event) => {
        if (event.button === 0) {
          from = columnAt(event.clientX);
          pressX = event.clientX;
          area.setPointerCapture(event.pointerId);
        }
      },
      pointerup: (event) => {
        const choose = dragging ? zoom : pick;
        const start = from;
        end(at);
        if (start >= 0) {
          call(choose, start, columnAt(event.clientX));
        }
      },
      pointercancel: () => end(-1),
      pointerleave: () => dragging || end(-1),
      blur: () => end(-1),
      keydown: (event) => {
        const last = data ? data.starts.length - 1 : -1;
        const step = { ArrowLeft: at < 0 ? last + 1 : -1, ArrowRight: 1, Home: -at, End: last - at }[
          /** @type {'Home'} */ (event.key)
        ];
        if (step !== undefined) {
          event.preventDefault();
          show(Math.max(0, Math.min(last, at + step)));
        } else if (event.key === 'Enter' && at >= 0) {
          call(pick, at, at);
        } else if (event.key === 'Escape' && dragging) {
          event.preventDefault();
          end(at);
        }
      },
    },
  });
  const element = h('div', { class: 'chart' }, area, tip);
  /** @type {ChartData | null} */
  let data = null;
  /** @type {ReturnType<typeof chartColumns> | null} */
  let drawn = null;
  /** The column that is marked, and the one where a drag began; -1 for none. */
  let at = -1;
  let from = -1;
  let pressX = 0;
  let dragging = false;
  let width = 0;
  const observer = new ResizeObserver(() => area.clientWidth !== width && draw());
  observer.observe(area);
  return { element, update, close: () => observer.disconnect() };

  /** @param {ChartData} next */
  function update(next) {
    data = next;
    draw();
  }

  function draw() {
    width = area.clientWidth;
    if (data && width > 0) {
      area.style.height = `${height + (data.strip ? 40 : 0)}px`;
      drawn = draws(data, width, height);
      area.replaceChildren(drawn.element);
      area.setAttribute('aria-valuemax', String(Math.max(0, data.starts.length - 1)));
      show(at < data.starts.length ? at : -1, dragging ? from : at);
    }
  }

  /**
   * Marks a column, or the columns of a drag.
   *
   * @param {number} column
   * @param {number} [start]
   */
  function show(column, start = column) {
    at = column;
    const [first, last] = start < column ? [start, column] : [column, start];
    drawn?.select(first, last);
    tip.hidden = column < 0;
    if (column < 0 || !data || !drawn) {
      return;
    }
    tip.replaceChildren(...tells(data, first, last));
    area.setAttribute('aria-valuenow', String(column));
    const words = [...tip.querySelectorAll('p, dt, dd')].map((each) => each.textContent);
    area.setAttribute('aria-valuetext', words.join(' '));
    const x = drawn.centre(column);
    const left = x > width / 2 ? x - tip.offsetWidth - 12 : x + 12;
    tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
  }

  /** @param {number} clientX */
  function columnAt(clientX) {
    return drawn?.columnAt(clientX - area.getBoundingClientRect().left) ?? -1;
  }

  /** @param {number} column that stays marked */
  function end(column) {
    from = -1;
    dragging = false;
    show(column);
  }

  /**
   * @param {((from: number, to: number) => void) | undefined} choose
   * @param {number} start
   * @param {number} column
   */
  function call(choose, start, column) {
    choose?.(data?.starts[Math.min(start, column)] ?? 0, data?.ends[Math.max(start, column)] ?? 0);
  }
}

/**
 * The values of a column, or the sums of several.
 *
 * @param {ChartData} data
 * @param {number} first
 * @param {number} last
 */
function tipContent(data, first, last) {
  /** @param {(number | null)[]} values */
  const sum = (values) =>
    values.slice(first, last + 1).reduce((/** @type {number} */ all, each) => all + (each ?? 0), 0);
  const rows = data.series.map(({ label, color, values }) => ({ label, color, count: sum(values) })).reverse();
  const shown = rows.filter(({ count }) => count > 0);
  const total = rows.reduce((all, { count }) => all + count, 0);
  const marks = (data.marks ?? []).slice(first, last + 1).flat();
  return [
    h('p', { class: 'chart-tip-time' }, bucketLabel(data, first, last)),
    h(
      'dl',
      null,
      shown.map(({ label, color, count }) => [
        h('dt', null, h('i', { class: 'swatch', style: { background: `var(--${color})` } }), label),
        h('dd', null, formatExact(count)),
      ]),
      shown.length !== 1 && [h('dt', null, 'Total'), h('dd', null, formatExact(total))],
      data.previous && [h('dt', null, 'Before'), h('dd', null, formatExact(sum(data.previous)))],
    ),
    ...marks.slice(0, 5).map((text) => h('p', { class: 'cut' }, `▾ ${text}`)),
  ];
}
