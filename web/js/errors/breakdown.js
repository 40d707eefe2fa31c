import { attributesOf } from '../attributes.js';
import { fill, h } from '../dom.js';
import { inlineText } from '../event-fields.js';
import { formatExact, formatShare } from '../format.js';
import { currentState, navigate } from '../state.js';

/** What is counted without being asked for, and its title. */
const ALWAYS = /** @type {const} */ ([
  ['tags.release', 'Release'],
  ['tags.environment', 'Environment'],
]);

/** Values that show, and attributes that are offered. */
const SHOWN = 8;
const OFFERED = 200;

/**
 * The events of an issue by release, environment and an attribute that the reader chooses.
 */
export function breakdowns() {
  const title = h('p', { class: 'muted breakdown-note' });
  const tables = h('div', { class: 'breakdowns' });
  const picker = h('select', { 'aria-label': 'Count by another attribute' });
  picker.addEventListener('change', () =>
    navigate({ options: { ...currentState().options, by: picker.value } }, { replace: true }),
  );
  let offered = '';
  const element = h(
    'section',
    { class: 'panel breakdown-panel', 'aria-label': 'Counts by value' },
    title,
    tables,
    h('div', { class: 'breakdown' }, picker),
  );
  const own = h('div', { class: 'breakdown' });
  element.append(own);
  return { element, update };

  /**
   * @param {import('./issue-page.js').IssueDetails} issue
   * @param {import('../state.js').State} state
   */
  function update(issue, state) {
    const { by, looked_at: total, looked_at_all: all } = issue;
    const chosen = state.options.by ?? '';
    fill(title, all ? '' : `Of the newest ${formatExact(total)} events`);
    title.hidden = all;
    fill(
      tables,
      ALWAYS.map(([path, name]) =>
        h('div', { class: 'breakdown' }, h('h2', null, name), table(name, by[path] ?? [], total)),
      ),
    );
    fill(own, chosen && table(chosen, by[chosen] ?? [], total));
    offer(chosen, issue, state.app ?? '');
  }

  /**
   * @param {string} chosen
   * @param {import('./issue-page.js').IssueDetails} issue
   * @param {string} app
   */
  async function offer(chosen, issue, app) {
    const key = `${app} ${chosen}`;
    if (offered === key) {
      return;
    }
    offered = key;
    // Without the list of attributes, the tags of the newest events are offered.
    const paths = ((await attributesOf(app).catch(() => null)) ?? []).map(({ path }) => path);
    const tags = issue.events.flatMap(({ tags: each }) => Object.keys(each ?? {})).map((name) => `tags.${name}`);
    const known = new Set([...tags, ...paths, chosen].filter((path) => !ALWAYS.some(([other]) => other === path)));
    known.delete('');
    fill(
      picker,
      h('option', { value: '' }, 'Count by…'),
      [...known].slice(0, OFFERED).map((path) => h('option', { value: path }, path)),
    );
    picker.value = chosen;
  }
}

/**
 * @param {string} name
 * @param {{ value: unknown, count: number }[]} values
 * @param {number} total
 */
function table(name, values, total) {
  if (values.length === 0) {
    return h('p', { class: 'muted' }, 'None in this range.');
  }
  const max = Math.max(1, ...values.map(({ count }) => count));
  const rows = values.map(({ value, count }) => {
    const text = value === null ? '(none)' : inlineText(value);
    return h(
      'tr',
      { style: { '--share': `${((count / max) * 100).toFixed(2)}%` } },
      h(
        'th',
        { scope: 'row' },
        h('bdi', { class: `cut ${value === null ? 'muted' : ''}`, title: text }, text.slice(0, 300)),
      ),
      h('td', null, formatExact(count)),
      h('td', { class: 'muted' }, formatShare(count / Math.max(1, total))),
    );
  });
  const body = h('tbody', null, rows.slice(0, SHOWN));
  const more = h('button', { type: 'button', class: 'quiet' }, `Show ${rows.length - SHOWN} more`);
  more.addEventListener('click', () => {
    body.append(...rows.slice(SHOWN));
    more.remove();
  });
  const heads = ['Value', 'Events', 'Share'].map((each) => h('th', { scope: 'col' }, each));
  return [
    h(
      'table',
      { class: 'counts', 'aria-label': name },
      h('colgroup', null, h('col'), h('col', { class: 'col-count' }), h('col', { class: 'col-change' })),
      h('thead', { class: 'hidden-text' }, h('tr', null, heads)),
      body,
    ),
    rows.length > SHOWN && more,
  ];
}
