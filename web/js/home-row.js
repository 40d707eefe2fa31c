import { ApiError } from './api.js';
import { changeText } from './change.js';
import { fill, h } from './dom.js';
import { formatAgo, formatTime } from './format.js';
import { landing, openApp } from './landing.js';
import { plainClick } from './link.js';
import { errorsOf, readOverview } from './overview/reply.js';
import { sparkline } from './sparkline.js';
import { stateUrl } from './state.js';
import { numberText } from './value.js';

/**
 * One app: a row of 56 px that reads its numbers when told to.
 *
 * @param {import('./apps.js').App} app
 * @param {string} tz
 */
export function homeRow({ id, name, open_issues: issues = null }, tz) {
  const link = h(
    'a',
    { class: 'cut', href: stateUrl(landing(id)), title: name, on: { click: open } },
    h('bdi', null, name),
  );
  const [line, events, errors, last] = ['home-line', 'home-number', 'home-number', 'home-last'].map((each) =>
    h('td', { class: each }),
  );
  const seen = h('span', { class: 'home-seen' });
  const element = h(
    'tr',
    { class: 'home-row' },
    h('th', { scope: 'row' }, link, seen),
    line,
    events,
    errors,
    issues === null ? null : h('td', { class: 'home-number' }, numberText(issues)),
    last,
  );
  return { id, name, element, load };

  /** @param {MouseEvent} event */
  function open(event) {
    if (plainClick(event)) {
      event.preventDefault();
      openApp(id);
    }
  }

  /**
   * Reads the last 24 hours.
   *
   * @param {AbortSignal} signal
   */
  async function load(signal) {
    try {
      const params = /** @type {[string, string][]} */ ([
        ['since', '24h'],
        ['tz', tz],
        ['interval', 'HOUR'],
        ['compare', 'previous'],
      ]);
      show(await readOverview(id, params, signal));
    } catch (error) {
      if (!signal.aborted) {
        const status = error instanceof ApiError && error.status ? ` (${error.status})` : '';
        const retry = h('button', { type: 'button', class: 'quiet link', on: { click: () => load(signal) } }, 'Retry');
        fill(/** @type {HTMLElement} */ (line), h('span', { class: 'home-failure' }, `Not read${status}. `, retry));
      }
    }
  }

  /** @param {import('./overview/reply.js').Overview} reply */
  function show({ total, errors: failed, series, previous, last_event_at: at }) {
    const counts = series.map(({ count }) => count);
    const wrong = series.map(errorsOf);
    fill(/** @type {HTMLElement} */ (line), total > 0 && sparkline(counts, `Events of ${name} in the last 24 hours`));
    fill(/** @type {HTMLElement} */ (events), numberText(total), changeText(total, previous?.total));
    fill(
      /** @type {HTMLElement} */ (errors),
      numberText(failed || wrong.reduce((sum, each) => sum + each, 0)),
      changeText(failed, previous?.errors, { errors: true }),
    );
    fill(seen, at ? formatAgo(at) : 'no events');
    fill(
      /** @type {HTMLElement} */ (last),
      at ? h('span', { title: formatTime(at, tz, 'full') }, formatAgo(at)) : 'none',
    );
  }
}
