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
 * }} ChartData `series` from the baseline up, `strip` on a scale of its own below, `previous` as a line, `marks` are texts of
 *   annotations, `growing` columns are hatched
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
 * }} options
 * @returns {{ element: HTMLElement, update: (data: ChartData) => void, close: () => void }}
 */
export function createChart({ label, height = 220, pick, zoom }) {
  const tip = h('div', { class: 'chart-tip', role: 'status', hidden: true });
  const area = h('div', {
    class: 'chart-area',
    role: 'slider',
    tabindex: '0',
    'aria-label': label,
    'aria-valuemin': '0',
    'aria-valuemax': '0',
    'aria-valuenow': '0',
    'aria-valuetext': '',
    on: { pointermove: move, pointerdown: press, pointerup: release, pointerleave: leave, keydown: key, blur: leave },
  });
  area.style.height = `${height}px`;
  const element = h('div', { class: 'chart' }, area, tip);
  /** @type {ChartData | null} */
  let data = null;
  /** @type {ReturnType<typeof chartColumns> | null} */
  let drawn = null;
  let at = -1;
  /** Where a drag began, or -1. */
  let from = -1;
  let pressX = 0;
  let dragging = false;
  let width = 0;

  const observer = new ResizeObserver(() => {
    if (area.clientWidth !== width) {
      draw();
    }
  });
  observer.observe(area);
  return { element, update, close: () => observer.disconnect() };

  /** @param {ChartData} next */
  function update(next) {
    data = next;
    draw();
  }

  function draw() {
    width = area.clientWidth;
    if (!data || width === 0) {
      return;
    }
    area.style.height = `${height + (data.strip ? 40 : 0)}px`;
    drawn = chartColumns(data, width, height);
    area.replaceChildren(drawn.element);
    const last = data.starts.length - 1;
    area.setAttribute('aria-valuemax', String(Math.max(0, last)));
    if (at > last) {
      at = -1;
    }
    show(at, from >= 0 ? from : at);
  }

  /**
   * Marks a column, or the columns of a drag.
   *
   * @param {number} column
   * @param {number} [start]
   */
  function show(column, start = column) {
    at = column;
    drawn?.select(Math.min(start, column), Math.max(start, column));
    tip.hidden = column < 0 || !data;
    if (column < 0 || !data || !drawn) {
      return;
    }
    area.setAttribute('aria-valuenow', String(column));
    area.setAttribute('aria-valuetext', valueText(data, column));
    tip.replaceChildren(...tipContent(data, Math.min(start, column), Math.max(start, column)));
    const x = drawn.centre(column);
    const right = x > width / 2;
    tip.style.left = right ? 'auto' : `${x + 12}px`;
    tip.style.right = right ? `${width - x + 12}px` : 'auto';
  }

  /** @param {PointerEvent} event */
  function columnAt(event) {
    return drawn ? drawn.columnAt(event.clientX - area.getBoundingClientRect().left) : -1;
  }

  /** @param {PointerEvent} event */
  function move(event) {
    const column = columnAt(event);
    if (from >= 0 && zoom && Math.abs(event.clientX - pressX) > 4) {
      dragging = true;
    }
    show(column, dragging ? from : column);
  }

  /** @param {PointerEvent} event */
  function press(event) {
    if (event.button === 0 && columnAt(event) >= 0) {
      from = columnAt(event);
      pressX = event.clientX;
      dragging = false;
      area.setPointerCapture(event.pointerId);
    }
  }

  /** @param {PointerEvent} event */
  function release(event) {
    const [start, dragged] = [from, dragging];
    const end = columnAt(event);
    cancel();
    if (start < 0 || end < 0 || !data) {
      return;
    }
    const first = data.starts[Math.min(start, end)] ?? 0;
    const last = data.ends[Math.max(start, end)] ?? 0;
    if (dragged) {
      zoom?.(first, last);
    } else {
      pick?.(first, last);
    }
  }

  function cancel() {
    from = -1;
    dragging = false;
    show(at);
  }

  function leave() {
    if (!dragging) {
      from = -1;
      show(-1);
    }
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const last = data ? data.starts.length - 1 : -1;
    const steps = /** @type {Record<string, number>} */ ({
      ArrowLeft: at < 0 ? last : at - 1,
      ArrowRight: at + 1,
      Home: 0,
      End: last,
      PageUp: at - 10,
      PageDown: at + 10,
    });
    const next = steps[event.key];
    if (next !== undefined) {
      event.preventDefault();
      show(Math.max(0, Math.min(last, next)));
    } else if (event.key === 'Enter' && data && at >= 0) {
      pick?.(data.starts[at] ?? 0, data.ends[at] ?? 0);
    } else if (event.key === 'Escape' && dragging) {
      event.preventDefault();
      cancel();
    }
  }
}

/**
 * @param {ChartData} data
 * @param {number} column
 */
function valueText(data, column) {
  const counts = data.series
    .filter(({ values }) => values[column])
    .map(({ label, values }) => `${label} ${formatExact(values[column] ?? 0)}`);
  const before = data.previous?.[column];
  return [
    bucketLabel(data, column),
    ...(counts.length > 0 ? counts : ['no events']),
    ...(typeof before === 'number' ? [`before ${formatExact(before)}`] : []),
    ...(data.marks?.[column] ?? []),
  ].join(', ');
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
  const rows = [...data.series].reverse().map(({ label, color, values }) => ({ label, color, count: sum(values) }));
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
