import { appPath, get } from '../api.js';
import { fill, h } from '../dom.js';
import { cutText } from '../event-row.js';
import { formatExact, formatShare } from '../format.js';
import { stateLink } from '../link.js';
import { Panel } from '../panel.js';
import { filterParams } from '../state.js';
import { lastAsked } from './last-asked.js';
import { namePicker } from './name-picker.js';
import {
  BY,
  briefLength,
  coverageNote,
  keepControl,
  listOfText,
  optionChoice,
  peopleRange,
  sentence,
  setOptions,
  showAllowed,
  textOfList,
} from './parts.js';

/** Names of a trail. */
const MOST_TRAIL = 12;

const NEXT_WITHIN = /** @type {const} */ ([
  ['30m', '30 minutes'],
  ['5m', '5 minutes'],
  ['2h', '2 hours'],
  ['1d', '1 day'],
  ['1w', '1 week'],
]);

/**
 * What people did next, from name to name.
 *
 * @returns {import('../people.js').PeopleTab}
 */
export function pathsTab() {
  const picker = namePicker('Begin with', (name) => setOptions({ path: textOfList([name]) }, false));
  const trail = h('nav', { class: 'trail', 'aria-label': 'Trail' });
  const tools = h('div', { class: 'row people-tools' });
  const head = h('div', { class: 'panel-head' }, trail, h('div', { class: 'spacer' }), tools);
  const panel = new Panel({ what: 'What people did next', class: 'people-panel' });
  panel.element.prepend(head);
  const begin = h('section', { class: 'panel people-build', 'aria-label': 'First event' }, picker.element);
  const asked = lastAsked();
  return { element: h('div', { class: 'people-view' }, begin, panel.element), update, close: () => panel.close() };

  /** @param {import('../state.js').State} state */
  function update(state) {
    picker.update(state);
    const names = listOfText(state.options.path, MOST_TRAIL);
    const name = names.at(-1);
    const by = state.options.by || 'user';
    const within = state.options.within || '30m';
    keepControl(panel.element, () => {
      fill(trail, trailLinks(names, state));
      fill(tools, optionChoice('Within', 'within', NEXT_WITHIN, within), optionChoice('Count', 'by', BY, by));
    });
    if (!name) {
      asked.begin();
      panel.close();
      head.hidden = true;
      fill(panel.body, sentence('Choose an event, to see what people did after it.'));
      return;
    }
    head.hidden = false;
    // The name that is asked about is the last one of the trail.
    const filters = state.filters.filter(({ field, operator }) => field !== 'name' || operator !== '');
    const query = JSON.stringify([
      ...peopleRange(state),
      ['name', name],
      ['within', within],
      ['by', by],
      ...filterParams(filters),
    ]);
    if (!asked.isNew(query)) {
      return;
    }
    const passed = state.filters.length - filters.length;
    showAllowed(
      panel,
      (signal) => get(appPath(state.app ?? '', 'stats', 'next'), JSON.parse(query), signal),
      (reply) => [
        coverageNote(reply, state),
        passed > 0 && h('p', { class: 'people-note' }, 'The filter by name does not apply here.'),
        nextTable(reply, names, state),
      ],
    );
  }
}

/**
 * @param {string[]} names
 * @param {import('../state.js').State} state
 */
function trailLinks(names, state) {
  return names.map((name, at) => {
    const path = textOfList(names.slice(0, at + 1));
    const last = at === names.length - 1;
    return [
      at > 0 && h('span', { class: 'muted', 'aria-hidden': 'true' }, '→'),
      stateLink(
        { ...state, options: { ...state.options, path } },
        { class: 'cut', title: name, 'aria-current': last ? 'step' : null },
        h('bdi', null, cutText(name)),
      ),
    ];
  });
}

/**
 * @param {{ people: number, items: { name: string | null, people: number, share: number | null, median_seconds: number | null }[] }} reply
 * @param {string[]} names
 * @param {import('../state.js').State} state
 */
function nextTable({ people, items }, names, state) {
  const name = names.at(-1) ?? '';
  const what = state.options.by === 'session' ? ['session', 'sessions'] : ['person', 'people'];
  if (people === 0) {
    return sentence(`Nobody has an event “${name}” in this range.`);
  }
  const max = Math.max(1, ...items.map((each) => each.people));
  const heads = ['Next', 'People', 'Share', 'Median'].map((each) => h('th', { scope: 'col' }, each));
  const rows = items.map((item) => {
    const path = textOfList([...names, item.name ?? ''].slice(-MOST_TRAIL));
    return h(
      'tr',
      { style: { '--share': `${((item.people / max) * 100).toFixed(2)}%` } },
      h(
        'th',
        { scope: 'row' },
        item.name === null
          ? h('span', { class: 'muted' }, 'nothing more in time')
          : stateLink(
              { ...state, options: { ...state.options, path } },
              { class: 'next-name cut', title: item.name },
              h('bdi', null, cutText(item.name)),
            ),
      ),
      h('td', null, formatExact(item.people)),
      h('td', null, item.share === null ? '–' : formatShare(item.share)),
      h('td', { class: 'muted next-time' }, item.median_seconds === null ? '' : briefLength(item.median_seconds)),
    );
  });
  return [
    h(
      'p',
      { class: 'people-note' },
      `${formatExact(people)} ${what[people === 1 ? 0 : 1]} did `,
      h('bdi', null, `“${cutText(name)}”`),
      '. What they did next, after the first time:',
    ),
    h(
      'table',
      { class: 'counts next-table', 'aria-label': 'What people did next' },
      h('thead', null, h('tr', null, heads)),
      h('tbody', null, rows),
    ),
  ];
}
