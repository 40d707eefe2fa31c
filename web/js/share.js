import { appPath, get, request } from './api.js';
import { copyBlock } from './copy-block.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { describeFilter } from './filter-text.js';
import { checkbox, choice, field, input, radios } from './form.js';
import { baseUrl } from './link.js';
import { COUNTED_FIELDS, isAdmin } from './page.js';
import { describeRange, isRunning } from './range.js';
import { currentState, filterParams, rangeParams, stateQuery } from './state.js';

/** @typedef {import('./state.js').State} State */

/**
 * The button that shares what the page shows: by a link that works without sign-in, or as a picture. Admins alone make keys.
 *
 * @param {import('./page.js').Account} account
 */
export function shareButton(account) {
  return isAdmin(account)
    ? h('button', { type: 'button', on: { click: () => shareView(currentState()) } }, 'Share')
    : null;
}

/**
 * @param {State} state
 * @param {() => void} [done]
 */
export function shareView(state, done) {
  const app = state.app ?? '';
  const words = [describeView(state), ...state.filters.map(describeFilter)].join(' · ');
  // The visitor is told the label: it does not hold what filters ask for.
  const label = describeView(state);
  const link = h('div', { class: 'fields' }, restrictions(state));
  const picture = h('div', { class: 'fields', hidden: true }, pictureFields());
  const kind = radios('kind', 'Share it as', [
    ['link', 'a page that opens without sign-in'],
    ['picture', 'a picture of the chart, for a README or a chat'],
  ]);
  kind.addEventListener('change', (event) => {
    picture.hidden = /** @type {HTMLInputElement} */ (event.target).value !== 'picture';
    link.hidden = !picture.hidden;
  });
  openDialog(
    { title: 'Share this view', action: 'Create link', closed: done },
    [
      h('p', { class: 'muted' }, `${app} · ${words}`),
      kind,
      isRunning(state) && hasRange(state) ? rangeQuestion(state) : null,
      link,
      picture,
      field('Expires', choice('lifetime', EXPIRIES, '90d')),
      field(
        'Label',
        input('label', { required: true, maxlength: '100' }, label.slice(0, 100)),
        'By it you find the link again.',
      ),
    ],
    (data) => create(state, data),
  );
}

/**
 * The page and range of a view, as `Events · Last 24 h`.
 *
 * @param {State} state
 */
export function describeView(state) {
  const page = state.view && state.view !== 'overview' ? state.view[0]?.toUpperCase() + state.view.slice(1) : '';
  return [page, hasRange(state) ? describeRange(state) : ''].filter(Boolean).join(' · ');
}

/**
 * A session is shown whole.
 *
 * @param {State} state
 */
function hasRange({ view }) {
  return view !== 'session';
}

/** @type {[string, string][]} */
const EXPIRIES = [
  ['7d', 'In 7 days'],
  ['30d', 'In 30 days'],
  ['90d', 'In 90 days'],
  ['365d', 'In a year'],
  ['', 'Never'],
];

/** @param {State} state */
function rangeQuestion(state) {
  const question = radios('range', 'Range', [
    ['rolling', `rolling: ${describeRange(state).toLowerCase()}, whenever it is opened`],
    ['frozen', 'frozen: as it is now'],
  ]);
  // Neither is right for most: it is asked.
  for (const each of question.querySelectorAll('input')) {
    each.checked = false;
    each.required = true;
  }
  return question;
}

/**
 * What the link hides. What the view itself needs cannot be hidden.
 *
 * @param {State} state
 */
function restrictions({ view, filters, options }) {
  const fields = filters.map((filter) => filter.field);
  const shown = view === 'people' ? `people ${options.tab || 'sessions'}` : view;
  const numbers = /^(|overview|people (users|funnel|retention|paths))$/.test(shown);
  // The conditions of steps stand in one option, encoded; a link that somebody wrote may be so once only.
  const asksData = /attr\./.test(`${options.steps} ${options.breakdown}`);
  const asksPeople = /(message|_id)(%(?:25)?5B\w+%(?:25)?5D)?%3D/.test(options.steps ?? '');
  const counted = numbers && !asksData && !asksPeople && fields.every((each) => COUNTED_FIELDS.includes(each));
  const people =
    !asksPeople &&
    !/^(session|user|people sessions)$/.test(shown) &&
    !fields.some((each) => /^message$|_id$/.test(each));
  const data =
    !asksData &&
    !/^(web|people numbers)$/.test(shown) &&
    !fields.some((each) => each.startsWith('attr.') || each === 'fingerprint');
  return h(
    'fieldset',
    null,
    h('legend', null, 'The visitor'),
    checkbox('statistics_only', 'sees statistics only, no single events', { checked: counted, disabled: !counted }),
    checkbox('people', 'sees no users, sessions and messages', { checked: people, disabled: !people }),
    checkbox('data', 'sees no data, tags and stacks', { checked: data, disabled: !data }),
    counted && people && data
      ? null
      : h('p', { class: 'hint' }, 'What this view shows or filters by cannot be hidden.'),
  );
}

function pictureFields() {
  return [
    field(
      'Columns',
      choice('by', [
        ['level', 'By level'],
        ['name', 'By name'],
      ]),
    ),
    field(
      'Theme',
      choice('theme', [
        ['light', 'Light'],
        ['dark', 'Dark'],
      ]),
    ),
    field(
      'Format',
      choice('format', [
        ['svg', 'SVG'],
        ['png', 'PNG'],
      ]),
    ),
  ];
}

/**
 * Makes the key of a share link.
 *
 * @param {State} state
 * @param {FormData} data
 */
async function create(state, data) {
  const app = state.app ?? '';
  const shared = data.get('range') === 'frozen' ? { ...state, ...(await frozenRange(state)) } : state;
  const label = String(data.get('label')).trim();
  const body = {
    scopes: ['read'],
    label,
    expires_at: data.get('lifetime') || undefined,
  };
  if (data.get('kind') === 'picture') {
    const chart = chartQuery(shared, String(data.get('by')), String(data.get('theme')));
    const { key } = await request('POST', appPath(app, 'keys'), { body: { ...body, chart } });
    const url = `${baseUrl()}${appPath(app, `chart.${data.get('format')}`)}?read_key=${encodeURIComponent(key)}`;
    return pictureResult(label, url);
  }
  // The zone too, since the visitor's may be another.
  const view = new URLSearchParams(stateQuery(shared));
  view.set('tz', state.tz);
  const hide = ['people', 'data'].filter((each) => data.get(each));
  const { key } = await request('POST', appPath(app, 'keys'), {
    body: {
      ...body,
      view: view.toString(),
      filter: keyFilter(state),
      hide,
      statistics_only: data.get('statistics_only') === 'on',
    },
  });
  return linkResult(`${baseUrl()}?${view}#key=${encodeURIComponent(key)}`);
}

/**
 * The start and end of a range, as the server reads it.
 *
 * @param {State} state
 * @returns {Promise<{ since: string, until: string }>}
 */
async function frozenRange(state) {
  const { since, until } = await get(appPath(state.app ?? '', 'stats', 'by-level'), rangeParams(state));
  return { since, until };
}

/**
 * The filters that the key enforces, whatever the visitor asks for.
 *
 * @param {State} state
 */
function keyFilter({ filters }) {
  if (filters.length === 0) {
    return undefined;
  }
  return Object.fromEntries(
    filters.map(({ field: name, operator, values }) => [operator ? `${name}[${operator}]` : name, values]),
  );
}

/**
 * The one query that a picture answers.
 *
 * @param {State} state
 * @param {string} by
 * @param {string} theme
 */
function chartQuery(state, by, theme) {
  return new URLSearchParams([
    ...rangeParams(state),
    ...filterParams(state.filters),
    ['by', by],
    ['theme', theme],
  ]).toString();
}

/** @param {string} url */
function linkResult(url) {
  return [
    h('p', null, 'Copy it now: it is not shown again.'),
    copyBlock('link', url),
    h('p', null, h('a', { href: url, target: '_blank', rel: 'noopener', class: 'text-link' }, 'Preview as visitor')),
  ];
}

/**
 * @param {string} label
 * @param {string} url
 */
function pictureResult(label, url) {
  return [
    h('p', null, 'Copy it now: it is not shown again.'),
    copyBlock('address of the picture', url),
    copyBlock('Markdown', `![${label.replace(/[[\]\\]/g, '\\$&')}](${url})`),
    h('img', {
      class: 'picture',
      src: url,
      alt: label,
      on: { error: (/** @type {Event} */ { target }) => /** @type {Element} */ (target).remove() },
    }),
  ];
}
