import { createChart } from '../chart.js';
import { fill, h } from '../dom.js';
import { bucketLabel, formatExact } from '../format.js';
import { setOptions, zoomTo } from './parts.js';

/** @typedef {import('../chart.js').ChartData} ChartData */

/**
 * A chart with its title, its choices, and the same values as a table.
 *
 * @param {string} label
 * @param {Partial<Parameters<typeof createChart>[0]>} [how]
 */
export function seriesPanel(label, how = {}) {
  const chart = createChart({ label, zoom: zoomTo, ...how });
  const title = h('h2');
  const tools = h('div', { class: 'row people-tools' });
  const table = h('div', {
    class: 'chart-table',
    tabindex: '0',
    role: 'region',
    'aria-label': 'Values of the chart',
  });
  const legend = h('div', { class: 'people-legend' });
  const element = h(
    'div',
    { class: 'people-chart' },
    h('div', { class: 'panel-head' }, title, legend, h('div', { class: 'spacer' }), tools),
    chart.element,
    table,
  );
  return { element, update, close: chart.close };

  /**
   * @param {ChartData} data
   * @param {{
   *   title: string,
   *   state: import('../state.js').State,
   *   choices?: import('../dom.js').Child,
   *   text?: (value: number) => string,
   *   columns?: { label: string, values: (number | null)[], text?: (value: number) => string }[],
   * }} options `columns` are those of the table besides the series
   */
  function update(data, { title: words, state, choices = null, text = formatExact, columns = [] }) {
    const asTable = state.options.chart === 'table';
    const focused = tools.lastElementChild === document.activeElement;
    fill(title, words);
    const several = data.series.length > 1;
    fill(
      legend,
      several &&
        data.series.map((each) =>
          h('span', null, h('i', { class: 'swatch', style: { background: `var(--${each.color})` } }), each.label),
        ),
    );
    const press = () => setOptions({ chart: asTable ? '' : 'table' });
    const button = h('button', { type: 'button', 'aria-pressed': String(asTable), on: { click: press } }, 'Table');
    fill(tools, choices, button);
    if (focused) {
      button.focus();
    }
    chart.element.hidden = asTable;
    table.hidden = !asTable;
    fill(table);
    if (asTable) {
      const all = [...data.series.map((each) => ({ ...each, text })), ...columns];
      fill(table, bucketTable(data, all));
    } else {
      chart.update(data);
    }
  }
}

/**
 * @param {ChartData} data
 * @param {{ label: string, values: (number | null)[], text?: (value: number) => string }[]} columns
 */
function bucketTable(data, columns) {
  const heads = ['Time', ...columns.map(({ label }) => label)].map((each) => h('th', { scope: 'col' }, each));
  const rows = data.starts.map((_, i) =>
    h(
      'tr',
      null,
      h('th', { scope: 'row' }, bucketLabel(data, i)),
      columns.map(({ values, text = formatExact }) => {
        const value = values[i];
        return h('td', null, typeof value === 'number' ? text(value) : '–');
      }),
    ),
  );
  return h('table', null, h('thead', null, h('tr', null, heads)), h('tbody', null, rows));
}
