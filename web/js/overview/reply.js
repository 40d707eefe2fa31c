import { appPath, get } from '../api.js';
import { LEVELS } from '../filter-text.js';
import { filterParams, rangeParams } from '../state.js';
import { calendarRange, timeOfWall, wallClock } from '../zone.js';

/**
 * @typedef {{ count: number, previous?: number }} Counted
 * @typedef {{
 *   bucket_start: string, count: number, names?: number, by_level?: Record<string, number>, by_name?: Record<string, number>,
 * }} Bucket
 * @typedef {{ since: string, until: string, complete?: boolean, widened?: boolean }} CountOfPeople
 * @typedef {Counted & { message: string, group: string, level: string | null, last_seen?: string }} Message
 */

/**
 * What `GET /apps/{app}/stats/overview` answers: the cards, the chart and the tables in one reply. Lists are absent where a share
 * link does not allow them.
 *
 * @typedef {{
 *   since: string, until: string, tz: string, interval: string, total: number, errors: number,
 *   names: { distinct: number, previous?: number, items: (Counted & { name: string })[] },
 *   levels: (Counted & { level: string | null })[],
 *   categories?: (Counted & { category: string | null })[],
 *   messages?: Message[],
 *   series: Bucket[],
 *   previous?: {
 *     since: string, until: string, total: number, errors: number, series: Bucket[], complete?: boolean,
 *     users?: number | null, sessions?: number | null, people?: CountOfPeople,
 *   },
 *   last_event_at: string | null,
 *   users: number | null, sessions: number | null, people?: CountOfPeople,
 *   complete?: boolean, names_complete?: boolean, messages_complete?: boolean, covered?: { since: string, until: string },
 *   widened?: boolean, counted_to: string, live_from?: string,
 * }} Overview
 */

/** Lengths of intervals in milliseconds, about, shortest first. */
export const INTERVALS = /** @type {const} */ ({
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000,
  WEEK: 604_800_000,
  MONTH: 2_629_746_000,
});

/** @typedef {keyof typeof INTERVALS} Interval */

/** Columns of a chart, at most. */
const MAX_BUCKETS = 2000;

/**
 * How long a range is, about: enough to choose an interval before the server has read it.
 *
 * @param {import('../state.js').State} state
 */
export function spanOf({ since, until }) {
  const words = /** @type {Record<string, number>} */ ({ today: 1, yesterday: 1, 'this-week': 7, 'this-month': 31 });
  const [, amount, unit] = /^(\d+)([mhdw])$/.exec(since) ?? [];
  if (amount) {
    return Number(amount) * ({ m: 1, h: 60, d: 1440, w: 10080 }[unit ?? 'm'] ?? 1) * INTERVALS.MINUTE;
  }
  if (words[since]) {
    return words[since] * INTERVALS.DAY;
  }
  return Math.max(INTERVALS.MINUTE, (Date.parse(until) || Date.now()) - (Date.parse(since) || 0));
}

/**
 * The intervals that make sense for a range.
 *
 * @param {import('../state.js').State} state
 * @returns {Interval[]}
 */
export function intervalsOf(state) {
  const span = spanOf(state);
  const all = /** @type {Interval[]} */ (Object.keys(INTERVALS));
  return all.filter((each) => span / INTERVALS[each] <= MAX_BUCKETS && span / INTERVALS[each] >= 1);
}

/**
 * The interval of the chart: the chosen one if it fits the range, else one of some 25 to 180 columns.
 *
 * @param {import('../state.js').State} state
 * @returns {Interval}
 */
export function intervalOf(state) {
  const chosen = intervalsOf(state).find((each) => each === state.options.interval);
  const span = spanOf(state) / INTERVALS.HOUR;
  return (
    chosen ??
    (span <= 3 ? 'MINUTE' : span <= 200 ? 'HOUR' : span <= 24 * 120 ? 'DAY' : span <= 24 * 1000 ? 'WEEK' : 'MONTH')
  );
}

/**
 * The parameters of the overview of a state.
 *
 * @param {import('../state.js').State} state
 * @param {boolean} [byName] stacks by the top names
 * @returns {[string, string][]}
 */
export function overviewParams(state, byName = false) {
  const interval = intervalOf(state);
  /** @type {[string, string][]} */
  const params = [...rangeParams(state), ['interval', interval]];
  if (state.compare) {
    params.push(['compare', 'previous']);
  }
  if (byName) {
    params.push(['by', 'name']);
  }
  if (state.weekStart !== 'monday' && interval === 'WEEK' && !params.some(([name]) => name === 'week_start')) {
    params.push(['week_start', state.weekStart]);
  }
  return [...params, ...filterParams(state.filters)];
}

/**
 * Reads the overview. Where only a part of a period is counted, the two are not compared; nor are
 * people where a period counts those of whole hours at its ends.
 *
 * @param {string} app
 * @param {[string, string][]} params
 * @param {AbortSignal} [signal]
 * @returns {Promise<Overview>}
 */
export async function readOverview(app, params, signal) {
  /** @type {Overview} */
  const reply = await get(appPath(app, 'stats', 'overview'), params, signal);
  if (reply.previous && (reply.covered || reply.previous.complete === false)) {
    delete reply.previous;
    for (const each of [reply.names.items, reply.levels, reply.categories ?? [], reply.messages ?? []].flat()) {
      delete each.previous;
    }
  }
  if (reply.previous && (reply.people?.widened || reply.previous.people?.widened)) {
    reply.previous.users = null;
    reply.previous.sessions = null;
  }
  return reply;
}

/**
 * The end of a bucket.
 *
 * @param {number} start
 * @param {string} interval
 * @param {string} tz
 * @param {string} weekStart
 */
export function bucketEnd(start, interval, tz, weekStart) {
  if (interval === 'MINUTE' || interval === 'HOUR') {
    return start + INTERVALS[interval];
  }
  const unit = /** @type {const} */ ({ DAY: 'day', WEEK: 'week', MONTH: 'month' })[interval] ?? 'day';
  const [, next] = calendarRange(wallClock(start, tz).slice(0, 10), unit, weekStart);
  return timeOfWall(`${next}T00:00:00`, tz);
}

/**
 * The time up to which the numbers are exact: what was accepted before it is counted.
 *
 * @param {Overview} reply
 */
export function exactTo(reply) {
  const until = readTo(reply);
  return reply.live_from ? until : Math.min(until, Date.parse(reply.counted_to));
}

/**
 * The end of what was read: the range may end later than now.
 *
 * @param {Overview} reply
 */
function readTo({ until }) {
  return Math.min(Date.parse(until), Date.now());
}

/**
 * By how many milliseconds counting is behind. Where nothing happened since the count, it is not: the time up to which a server
 * has counted may rest while nothing arrives.
 *
 * @param {Overview} reply
 */
export function countingLag(reply) {
  const exact = exactTo(reply);
  const waiting = reply.last_event_at !== null && Date.parse(reply.last_event_at) >= exact;
  return waiting ? readTo(reply) - exact : 0;
}

/**
 * The errors of a bucket.
 *
 * @param {Bucket} bucket
 */
export function errorsOf({ by_level: levels }) {
  return (levels?.ERROR ?? 0) + (levels?.FATAL ?? 0);
}

/**
 * The series of the levels, from the baseline up; what has none comes last.
 *
 * @param {Overview} reply
 * @returns {(import('../chart.js').Series & { key: string })[]}
 */
export function levelSeries({ series }) {
  const known = LEVELS.map((level) => ({
    key: level,
    label: level,
    color: level.toLowerCase(),
    values: series.map(({ by_level: levels }) => levels?.[level] ?? 0),
  }));
  const rest = series.map(({ count }, i) => count - known.reduce((all, { values }) => all + (values[i] ?? 0), 0));
  return [...known, { key: 'NONE', label: 'no level', color: 'edge', values: rest }].filter(({ values }) =>
    values.some((each) => each > 0),
  );
}

const NAME_COLORS = ['info', 'good', 'warn', 'fatal', 'debug'];

/**
 * The series of the five most frequent names, and of all others.
 *
 * @param {Overview} reply
 * @returns {(import('../chart.js').Series & { key: string })[]}
 */
export function nameSeries({ series, names }) {
  // A name is listed once for each of its slugs.
  const distinct = [...new Set(names.items.map(({ name }) => name))];
  const top = distinct.slice(0, NAME_COLORS.length).map((name, i) => ({
    key: name,
    label: name,
    color: NAME_COLORS[i] ?? 'trace',
    values: series.map(({ by_name: counts }) => counts?.[name] ?? 0),
  }));
  const rest = series.map(({ count }, i) => count - top.reduce((all, { values }) => all + (values[i] ?? 0), 0));
  return [...top, { key: '', label: 'other names', color: 'trace', values: rest }].filter(({ values }) =>
    values.some((each) => each > 0),
  );
}
