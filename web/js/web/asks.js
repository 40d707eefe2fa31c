import { appPath, get } from '../api.js';
import { peopleRange } from '../people/parts.js';
import { RequestQueue } from '../request-queue.js';
import { filterParams, rangeParams } from '../state.js';

/** What the page of visits asks the server. */

/**
 * The numbers of some visits.
 *
 * @typedef {{
 *   visitors: number, anonymous: number, visits: number, views: number, views_per_visit: number | null,
 *   bounce_rate: number | null, mean_seconds: number | null, median_seconds: number | null,
 * }} VisitNumbers
 * @typedef {{ path: string, visits: number, bounce_rate: number | null }} VisitPage
 * @typedef {VisitNumbers & import('../people/parts.js').Coverage & {
 *   series: (VisitNumbers & { bucket_start: string })[], entry_pages: VisitPage[], exit_pages: VisitPage[],
 * }} Visits what `GET /apps/{app}/stats/web` answers
 * @typedef {{
 *   items: { name: string, count: number, previous?: number }[], next: string | null, complete?: boolean,
 *   covered_since?: string, previous?: { since: string, until: string },
 * }} NamesReply
 */

/** Names of events that are views of a page, as the server knows them. */
export const VIEW_NAMES = ['pageview', '$pageview', 'page'];

/** Pages of each list of a reply: the most that it gives. */
export const MOST_PAGES = 100;

/** Names that are read, to have enough of them without those of views. */
const NAMES_READ = 120;

/** Requests of this page that run at a time. */
const STATISTICS_AT_ONCE = 6;
const requests = new RequestQueue(STATISTICS_AT_ONCE);
let requestCount = 0;

/**
 * Reads a statistic once there is room.
 *
 * @param {string} app
 * @param {string} statistic
 * @param {[string, string][]} query
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
export function askStatistic(app, statistic, query, signal) {
  requestCount += 1;
  const key = String(requestCount);
  return new Promise((resolve, reject) => {
    requests.add(key, async () => {
      try {
        signal.throwIfAborted();
        resolve(await get(appPath(app, 'stats', statistic), query, signal));
      } catch (error) {
        reject(error);
      }
    });
  });
}

/**
 * What is asked once for a state, when a part of the page first needs it.
 *
 * @typedef {ReturnType<typeof webAsks>} WebAsks
 *
 * @param {import('../state.js').State} state
 * @param {string} interval
 * @param {AbortSignal} signal
 */
export function webAsks(state, interval, signal) {
  const app = state.app ?? '';
  const filters = filterParams(state.filters);
  const limit = /** @type {[string, string]} */ (['limit', String(MOST_PAGES)]);
  /** @type {() => Promise<Visits>} */
  const visits = keptAnswer(() =>
    askStatistic(app, 'web', [...peopleRange(state, interval), ...filters, limit], signal),
  );
  /** @type {() => Promise<NamesReply>} */
  const names = keptAnswer(() => {
    const compare = /** @type {[string, string][]} */ (state.compare ? [['compare', 'previous']] : []);
    const query = [...rangeParams(state), ...filters, ...compare];
    return askStatistic(app, 'by-name', [...query, ['limit', String(NAMES_READ)]], signal);
  });
  /**
   * The visits of the period before, which the reply about names tells; null where the two cannot be compared.
   *
   * @type {() => Promise<Visits | null>}
   */
  const before = keptAnswer(async () => {
    if (!state.compare || (await visits()).complete === false) {
      return null;
    }
    const { previous } = await names();
    if (!previous) {
      return null;
    }
    const query = [...peopleRange({ ...state, ...previous }, interval), ...filters, limit];
    /** @type {Visits} */
    const found = await askStatistic(app, 'web', query, signal);
    return found.complete === false ? null : found;
  });
  return { visits, names, before };
}

/**
 * A question that is asked once, and again after a failure.
 *
 * @template T
 * @param {() => Promise<T>} ask
 */
function keptAnswer(ask) {
  /** @type {Promise<T> | null} */
  let found = null;
  return () => {
    found ??= ask().catch((error) => {
      found = null;
      throw error;
    });
    return found;
  };
}

/**
 * Runs what an element needs once it is about to be seen. Of several tasks that wait, the last one runs.
 *
 * @param {Element} element
 */
export function whenSeen(element) {
  /** @type {(() => void) | null} */
  let waiting = null;
  let seen = false;
  let watched = false;
  const observer = new IntersectionObserver(
    (entries) => {
      seen = entries.at(-1)?.isIntersecting ?? false;
      run();
    },
    { rootMargin: '100px' },
  );
  return {
    close: () => observer.disconnect(),
    /** @param {() => void} task */
    ask: (task) => {
      waiting = task;
      if (!watched) {
        watched = true;
        observer.observe(element);
      }
      run();
    },
  };

  function run() {
    if (seen && waiting) {
      const task = waiting;
      waiting = null;
      task();
    }
  }
}
