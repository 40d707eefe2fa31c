import { createChart } from '../chart.js';
import { fill, h } from '../dom.js';
import { bucketLabel, formatExact } from '../format.js';
import { registerKeys } from '../keys.js';
import { maySeeEvents } from '../page.js';
import { isRunning } from '../range.js';
import { currentState, navigate } from '../state.js';
import { bucketEnd, countingLag, intervalsOf, levelSeries, nameSeries } from './reply.js';

/** @typedef {{ time: number, text: string }} Mark an annotation */

/** @type {Record<string, string>} */
const EVERY = { MINUTE: 'minute', HOUR: 'hour', DAY: 'day', WEEK: 'week', MONTH: 'month' };

/**
 * The chart with its legend. What is hidden, stacked and shown as a table stands in the URL, as everything.
 *
 * @param {import('../page.js').Account} account
 * @param {Partial<import('../state.js').State>} [more] what the events of a column have besides its range
 */
export function chartPanel(account, more) {
  const title = h('h2');
  const legend = h('div', { class: 'legend', role: 'group', 'aria-label': 'Series' });
  const tools = h('div', { class: 'row' });
  const chart = createChart({
    label: 'Events over time',
    zoom,
    ...(maySeeEvents(account) ? { pick } : {}),
  });
  const table = h('div', {
    class: 'chart-table',
    tabindex: '0',
    role: 'region',
    'aria-label': 'Values of the chart',
    hidden: true,
  });
  const lines = h('ul', { class: 'thresholds', 'aria-label': 'Thresholds', hidden: true });
  const element = h(
    'section',
    { class: 'panel chart-panel', 'aria-label': 'Chart' },
    h('div', { class: 'panel-head' }, title, legend, h('div', { class: 'spacer' }), tools),
    h('div', { class: 'panel-body' }, chart.element, table, lines),
  );
  /** The range before each zoom, which Esc brings back, and the range after it. */
  /** @type {{ since: string, until: string, after: string }[]} */
  const zooms = [];
  /** @type {Set<string>} */
  let offBefore = new Set();
  const unregister = registerKeys([
    { key: 'Escape', label: 'Undo a zoom into the chart', run: undo },
    { key: '← →', label: 'Move over the columns of the chart; Enter lists the events of one' },
  ]);
  return { element, update, close };

  function close() {
    unregister();
    chart.close();
  }

  /**
   * @param {import('./reply.js').Overview} reply
   * @param {import('../state.js').State} state
   * @param {Mark[]} annotations
   * @param {boolean} canStackNames
   * @param {import('./thresholds.js').Threshold[]} [thresholds]
   */
  function update(reply, state, annotations, canStackNames, thresholds = []) {
    const byName = state.options.by === 'name' && canStackNames;
    const all = byName ? nameSeries(reply) : levelSeries(reply);
    const off = hiddenKeys(state);
    /** @type {import('../chart.js').ChartData} */
    const data = chartData(reply, state, annotations);
    if (more) {
      // All of them are errors.
      delete data.strip;
    }
    data.series = all.filter(({ key }) => !off.has(key));
    data.previous = before(reply, data.series.length < all.length ? data.series : null);
    // They are of all series together.
    const drawn = off.size > 0 ? [] : thresholds;
    data.thresholds = drawn.map(({ value }) => value);
    fill(
      lines,
      drawn.map(({ value, text }) => h('li', null, `┄ ${formatExact(value)}: `, h('bdi', null, text))),
    );
    lines.hidden = drawn.length === 0;
    const asTable = state.options.chart === 'table';
    fill(title, `Events by ${EVERY[reply.interval] ?? reply.interval}`);
    showLegend(all, off);
    fill(
      tools,
      canStackNames &&
        pickOption(
          'by',
          'Stack',
          [
            ['', 'by level'],
            ['name', 'by name'],
          ],
          state.options.by ?? '',
        ),
      pickOption(
        'interval',
        'Interval',
        intervalsOf(state).map((each) => [each, EVERY[each] ?? each]),
        reply.interval,
      ),
      h(
        'button',
        {
          type: 'button',
          'aria-pressed': String(asTable),
          on: { click: () => setOption('chart', asTable ? '' : 'table') },
        },
        'Table',
      ),
    );
    chart.element.hidden = asTable;
    table.hidden = !asTable;
    if (asTable) {
      fill(table, valueTable(data));
    } else {
      fill(table);
      chart.update(data);
    }
  }

  /**
   * @param {(import('../chart.js').Series & { key: string })[]} all
   * @param {Set<string>} off
   */
  function showLegend(all, off) {
    const keys = all.map(({ key }) => key);
    const focused = [...legend.children].indexOf(/** @type {Element} */ (document.activeElement));
    fill(
      legend,
      all.map(({ key, label, color, values }) =>
        h(
          'button',
          {
            type: 'button',
            class: 'quiet legend-item',
            'aria-pressed': String(!off.has(key)),
            title: 'Show or hide. Double-click, or Shift and click: this one alone',
            on: {
              click: (/** @type {MouseEvent} */ event) => press(event, key, keys),
            },
          },
          h('i', { class: 'swatch', style: { background: `var(--${color})` } }),
          h('bdi', { class: 'cut' }, label),
          h('span', { class: 'muted' }, formatExact(values.reduce((sum, each) => sum + each, 0))),
        ),
      ),
    );
    const again = legend.children[focused];
    if (again instanceof HTMLElement) {
      again.focus();
    }
  }

  /**
   * @param {MouseEvent} event
   * @param {string} key
   * @param {string[]} keys
   */
  function press(event, key, keys) {
    if (event.detail === 2) {
      // The first click of the two has already hidden or shown the series.
      solo(key, keys, offBefore);
    } else {
      offBefore = hiddenKeys(currentState());
      if (event.shiftKey) {
        solo(key, keys, offBefore);
      } else {
        toggleSeries(key);
      }
    }
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  function pick(from, to) {
    navigate({ view: 'events', since: iso(from), until: iso(to), options: {}, ...more });
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  function zoom(from, to) {
    const { since, until, options } = currentState();
    zooms.push({ since, until, after: iso(from) + iso(to) });
    navigate({ since: iso(from), until: iso(to), options: { ...options, interval: '' } });
  }

  function undo() {
    const { since, until } = currentState();
    const last = zooms.pop();
    // A range that was chosen since then is no zoom.
    if (last && last.after === since + until) {
      navigate({ since: last.since, until: last.until });
    }
  }
}

/** @param {number} time */
function iso(time) {
  return new Date(time).toISOString().replace('.000Z', 'Z');
}

/**
 * @param {import('../state.js').State} state
 */
function hiddenKeys({ options }) {
  return new Set((options.off ?? '').split(',').filter(Boolean).map(decodeURIComponent));
}

/** @param {Iterable<string>} keys */
function hideKeys(keys) {
  setOption('off', [...keys].map(encodeURIComponent).join(','));
}

/** @param {string} key */
function toggleSeries(key) {
  const off = hiddenKeys(currentState());
  if (!off.delete(key)) {
    off.add(key);
  }
  hideKeys(off);
}

/**
 * Shows one series alone, or all again where it is alone.
 *
 * @param {string} key
 * @param {string[]} keys
 * @param {Set<string>} off what was hidden before
 */
function solo(key, keys, off) {
  const others = keys.filter((each) => each !== key);
  const alone = !off.has(key) && others.every((each) => off.has(each));
  hideKeys(alone ? [] : others);
}

/**
 * @param {string} name
 * @param {string} value
 */
function setOption(name, value) {
  navigate({ options: { ...currentState().options, [name]: value } }, { replace: true });
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string[][]} choices
 * @param {string} chosen
 */
function pickOption(name, label, choices, chosen) {
  const select = h(
    'select',
    { 'aria-label': label, on: { change: () => setOption(name, select.value) } },
    choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  );
  return choices.length > 1 && select;
}

/**
 * The counts of the period before, of the series that are shown.
 *
 * @param {import('./reply.js').Overview} reply
 * @param {{ label: string }[] | null} shown null for all
 */
function before({ series, previous }, shown) {
  return previous
    ? series.map((_, i) => {
        const bucket = previous.series[i];
        return bucket && shown
          ? shown.reduce((sum, { label }) => sum + ((bucket.by_level ?? bucket.by_name)?.[label] ?? 0), 0)
          : (bucket?.count ?? null);
      })
    : null;
}

/**
 * @param {import('./reply.js').Overview} reply
 * @param {import('../state.js').State} state
 * @param {Mark[]} annotations
 * @returns {import('../chart.js').ChartData}
 */
function chartData(reply, state, annotations) {
  const { series, interval, tz } = reply;
  const starts = series.map(({ bucket_start: start }) => Date.parse(start));
  const ends = starts.map((start, i) => starts[i + 1] ?? bucketEnd(start, interval, tz, state.weekStart));
  const grownTo = Math.min(Date.parse(reply.until), Date.now()) - countingLag(reply);
  const grows = isRunning(state) || countingLag(reply) > 0;
  return {
    interval,
    tz,
    starts,
    ends,
    series: [],
    strip: levelSeries(reply).filter(({ key }) => key === 'FATAL' || key === 'ERROR'),
    marks: starts.map((start, i) =>
      annotations.filter(({ time }) => time >= start && time < (ends[i] ?? 0)).map(({ text }) => text),
    ),
    growing: ends.map((end) => grows && end > grownTo),
  };
}

/**
 * The table that says what the chart shows.
 *
 * @param {import('../chart.js').ChartData} data
 */
function valueTable(data) {
  const { starts, series, previous, marks = [] } = data;
  const columns = [
    ...(marks.some((texts) => texts.length > 0)
      ? [{ label: 'Annotations', values: marks.map((texts) => texts.join(', ')) }]
      : []),
    ...series,
    ...(previous ? [{ label: 'Before', values: previous }] : []),
    { label: 'Total', values: starts.map((_, i) => series.reduce((sum, { values }) => sum + (values[i] ?? 0), 0)) },
  ];
  return h(
    'table',
    null,
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        ['Time', ...columns.map(({ label }) => label)].map((each) => h('th', { scope: 'col' }, each)),
      ),
    ),
    h(
      'tbody',
      null,
      starts.map((_, i) =>
        h(
          'tr',
          null,
          h('th', { scope: 'row' }, bucketLabel(data, i)),
          columns.map(({ values }) => {
            const cell = values[i];
            return h('td', null, typeof cell === 'number' ? formatExact(cell) : cell);
          }),
        ),
      ),
    ),
  );
}
