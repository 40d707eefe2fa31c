import { ApiError, appPath, get } from '../api.js';
import { h } from '../dom.js';
import { formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { bucketEnd, INTERVALS, intervalOf, spanOf } from '../overview/reply.js';
import { currentState, navigate, rangeParams } from '../state.js';
import { calendarRange, timeOfWall, wallClock } from '../zone.js';

/** What the tabs about people have in common. */

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../overview/reply.js').Interval} Interval */

/**
 * How much of a range a reply is about.
 *
 * @typedef {{
 *   since: string, until: string, complete?: boolean, covered?: { since: string, until: string } | null,
 * }} Coverage
 */

/** The words for intervals. */
const EACH_BUCKET = /** @type {Record<string, string>} */ ({
  MINUTE: 'by minute',
  HOUR: 'by hour',
  DAY: 'by day',
  WEEK: 'by week',
  MONTH: 'by month',
});

/**
 * Changes options of the tab in the URL.
 *
 * @param {Record<string, string>} changes
 * @param {boolean} [replace] makes no entry in the history
 */
export function setOptions(changes, replace = true) {
  navigate({ options: { ...currentState().options, ...changes } }, { replace });
}

/**
 * A labelled choice that stands in the URL.
 *
 * @param {string} label
 * @param {string} option
 * @param {readonly (readonly [value: string, text: string])[]} choices the first is the default, which the URL leaves out
 * @param {string} chosen
 */
export function optionChoice(label, option, choices, chosen) {
  const known = choices.some(([value]) => value === chosen);
  const all = known || !chosen ? choices : [...choices, /** @type {const} */ ([chosen, chosen])];
  const select = h(
    'select',
    { dataset: { focus: option } },
    all.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  );
  select.addEventListener('change', () =>
    setOptions({ [option]: select.value === choices[0]?.[0] ? '' : select.value }),
  );
  return h('label', { class: 'people-choice' }, h('span', { class: 'muted' }, label), select);
}

/** What tells people apart: the choice of all tabs. */
export const BY = /** @type {const} */ ([
  ['user', 'users'],
  ['session', 'sessions'],
]);

/**
 * The intervals that fit a range, and the one that is meant.
 *
 * @param {State} state
 * @param {readonly Interval[]} known shortest first
 * @param {number} most buckets
 * @returns {{ chosen: Interval, choices: [string, string][] }}
 */
export function intervalChoices(state, known, most) {
  const span = spanOf(state);
  const fitting = known.filter((each) => span / INTERVALS[each] <= most && span / INTERVALS[each] >= 1);
  const shortest = /** @type {Interval} */ (known.find((each) => span / INTERVALS[each] <= most) ?? known.at(-1));
  const usable = fitting.length > 0 ? fitting : [shortest];
  const usual = intervalOf({ ...state, options: {} });
  const first = usable.includes(usual) ? usual : /** @type {Interval} */ (usable[0]);
  const chosen = usable.find((each) => each === state.options.interval) ?? first;
  const order = [first, ...usable.filter((each) => each !== first)];
  return { chosen, choices: order.map((each) => [each, EACH_BUCKET[each] ?? each]) };
}

/**
 * The range of a state as parameters, with the first day of weeks where the interval needs it.
 *
 * @param {State} state
 * @param {string} [interval]
 * @returns {[string, string][]}
 */
export function peopleRange(state, interval) {
  const params = rangeParams(state);
  if (interval) {
    params.push(['interval', interval]);
  }
  if (interval === 'WEEK' && state.weekStart !== 'monday' && !params.some(([name]) => name === 'week_start')) {
    params.push(['week_start', state.weekStart]);
  }
  return params;
}

/**
 * The starts of all buckets of a range; the first may be before it.
 *
 * @param {{ since: string, until: string }} range
 * @param {string} interval
 * @param {string} tz
 * @param {string} weekStart
 */
export function bucketStarts({ since, until }, interval, tz, weekStart) {
  const from = Date.parse(since);
  const wall = Date.parse(`${wallClock(from, tz)}Z`);
  const unit = /** @type {const} */ ({ DAY: 'day', WEEK: 'week', MONTH: 'month' })[interval];
  let start =
    unit === undefined
      ? Math.floor(from / 1000) * 1000 - (wall % INTERVALS[/** @type {'HOUR'} */ (interval)])
      : timeOfWall(`${calendarRange(wallClock(from, tz).slice(0, 10), unit, weekStart)[0]}T00:00:00`, tz);
  const starts = [];
  // The API gives at most as many.
  while (start < Date.parse(until) && starts.length < 2_000) {
    starts.push(start);
    start = bucketEnd(start, interval, tz, weekStart);
  }
  return starts;
}

/**
 * What a chart of some buckets needs besides its series.
 *
 * @param {number[]} starts
 * @param {string} interval
 * @param {State} state
 * @param {string} until
 */
export function chartFrame(starts, interval, state, until) {
  const ends = starts.map((start, i) => starts[i + 1] ?? bucketEnd(start, interval, state.tz, state.weekStart));
  const now = Math.min(Date.now(), Date.parse(until));
  return { interval, tz: state.tz, starts, ends, growing: ends.map((end) => end > now) };
}

/**
 * Zooms into a range of a chart.
 *
 * @param {number} from
 * @param {number} to
 */
export function zoomTo(from, to) {
  const [since = '', until = ''] = [from, to].map((time) => new Date(time).toISOString().replace('.000Z', 'Z'));
  navigate({ since, until, options: { ...currentState().options, interval: '' } });
}

/**
 * The part of its range that a reply is about.
 *
 * @param {Coverage} reply
 */
export function coveredRange({ since, until, covered }) {
  return covered ?? { since, until };
}

/**
 * Says in words that a reply is of a part of the range, and offers what can be done; null where it is of all.
 *
 * @param {Coverage} reply
 * @param {State | null} state
 * @param {import('../dom.js').Child} [further] reads on, where that can be done
 */
export function coverageNote(reply, state, further) {
  const { complete, covered } = reply;
  if (complete !== false || !state) {
    return null;
  }
  if (!covered) {
    return h(
      'p',
      { class: 'people-note', role: 'status' },
      '◐ Not all events are in. Choose a shorter range or a filter.',
    );
  }
  const span = [covered.since, covered.until].map((time) => formatTime(time, state.tz, 'moment')).join(' – ');
  return h(
    'p',
    { class: 'people-note coverage', role: 'status' },
    h('span', null, `◐ Of the events from ${span} only: there are more than one request reads.`),
    further,
    rangeLinks(reply, covered, state),
  );
}

/**
 * Ways to a range that one request may read: the part that was read, and the other one.
 *
 * @param {Coverage} reply
 * @param {{ since: string, until: string }} covered
 * @param {State} state
 */
function rangeLinks({ since, until }, covered, state) {
  const isNewest = Date.parse(covered.since) > Date.parse(since);
  const rest = isNewest ? { since, until: covered.since } : { since: covered.until, until };
  const options = { ...state.options, interval: '' };
  return [
    stateLink({ ...state, ...covered, options }, { class: 'text-link' }, 'Show that part alone'),
    Date.parse(rest.since) < Date.parse(rest.until) &&
      stateLink(
        { ...state, ...rest, options },
        { class: 'text-link' },
        `Show the part ${isNewest ? 'before' : 'after'}`,
      ),
  ];
}

/**
 * Loads into a panel. What the key of a share link may not read is told in a sentence, and is no failure.
 *
 * @template T
 * @param {import('../panel.js').Panel} panel
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {(found: T) => import('../dom.js').Child} render
 */
export function showAllowed(panel, load, render) {
  return panel.show(
    async (signal) => {
      try {
        return { found: await load(signal), refused: '' };
      } catch (error) {
        if (error instanceof ApiError && error.status === 403) {
          return { found: null, refused: error.message };
        }
        throw error;
      }
    },
    ({ found, refused }) => (found === null ? sentence(`This link may not read it. ${refused}`) : render(found)),
  );
}

/** @param {string} text */
export function sentence(text) {
  return h('p', { class: 'nothing people-nothing' }, text);
}

/**
 * Numbers with what they are called.
 *
 * @param {string} label of the group
 * @param {{ label: string, value: import('../dom.js').Child, title?: string }[]} list
 */
export function figures(label, list) {
  return h(
    'dl',
    { class: 'figures', 'aria-label': label },
    list.map((each) =>
      h('div', { title: each.title ?? null }, h('dt', null, each.label), h('dd', null, each.value ?? '–')),
    ),
  );
}

/**
 * A length of time: to a tenth below ten seconds.
 *
 * @param {number | null | undefined} seconds
 */
export function briefLength(seconds) {
  if (seconds === null || seconds === undefined) {
    return '–';
  }
  if (seconds < 60) {
    return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  }
  const whole = Math.round(seconds);
  const parts = /** @type {const} */ ([
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]);
  const at = parts.findIndex(([size]) => whole >= size);
  const [size, unit] = parts[at] ?? [1, 's'];
  const [below, small] = parts[at + 1] ?? [1, 's'];
  const rest = Math.floor((whole % size) / below);
  return `${Math.floor(whole / size)} ${unit}${rest > 0 ? ` ${rest} ${small}` : ''}`;
}

/**
 * Some texts as one option of the URL.
 *
 * @param {string[]} texts
 */
export function textOfList(texts) {
  return texts.map(encodeURIComponent).join(',');
}

/**
 * @param {string | undefined} text
 * @param {number} most
 */
export function listOfText(text, most) {
  return (text ?? '')
    .split(',')
    .filter(Boolean)
    .slice(0, most)
    .map((each) => {
      try {
        return decodeURIComponent(each);
      } catch {
        return each;
      }
    });
}

/** The range whose names were read last. */
let namesFor = '';
/** @type {Promise<string[]>} */
let namesRead = Promise.resolve([]);

/**
 * The most frequent names of a range, to choose from; none where they cannot be read.
 *
 * @param {State} state
 */
export function frequentNames(state) {
  const query = rangeParams(state);
  const range = JSON.stringify([state.app, query]);
  if (range !== namesFor) {
    namesFor = range;
    namesRead = get(appPath(state.app ?? '', 'stats', 'overview'), query).then(
      ({ names }) =>
        [...new Set(names.items.map((/** @type {{ name: string }} */ { name }) => name))].filter(isRealName),
      () => {
        namesFor = '';
        return [];
      },
    );
  }
  return namesRead;
}

/** @param {unknown} name */
function isRealName(name) {
  return name !== '(other)';
}

/**
 * Renders a part anew and gives the focus back to the control with the same `data-focus`, or to what stands for it.
 *
 * @param {Element} root
 * @param {() => void} render
 */
export function keepControl(root, render) {
  const active = document.activeElement;
  const key = active instanceof HTMLElement && root.contains(active) ? active.dataset.focus : undefined;
  render();
  if (key !== undefined) {
    const all = [...root.querySelectorAll('[data-focus]')];
    const same = all.find((each) => each instanceof HTMLElement && each.dataset.focus === key && !isDisabled(each));
    const other = same ?? root.querySelector('button:not(:disabled), select, input');
    if (other instanceof HTMLElement) {
      other.focus({ preventScroll: true });
    }
  }
}

/** @param {Element} element */
function isDisabled(element) {
  return element instanceof HTMLButtonElement && element.disabled;
}
