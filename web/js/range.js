import { fill, h } from './dom.js';
import { formatTime } from './format.js';
import { menuButton } from './menu.js';
import { BROWSER_ZONE, currentState, navigate } from './state.js';
import { addDays, allZones, calendarRange, isZone, timeOfWall, wallClock } from './zone.js';

/** Chooses the range of time, the time zone and the start of the week. */

/** Ranges that end now, shortest first. */
export const PRESETS = ['15m', '1h', '24h', '7d', '30d'];

/**
 * A range that ends now in words, or nothing for a range of another kind.
 *
 * @param {string} since
 */
function rangeWords(since) {
  const [, amount, unit] = /^(\d+)([mhdw])$/.exec(since) ?? [];
  return amount ? `Last ${amount} ${unit === 'm' ? 'min' : unit}` : WORDS[since];
}

/** @type {Record<string, string>} */
const WORDS = {
  today: 'Today',
  yesterday: 'Yesterday',
  'this-week': 'This week',
  'this-month': 'This month',
};

/** Ranges of the calendar and the `until` of each. */
const CALENDAR = /** @type {const} */ ([
  ['today', ''],
  ['yesterday', 'today'],
  ['this-week', ''],
  ['this-month', ''],
]);

/** The running day, week and month. */
const RUNNING = { day: 'today', week: 'this-week', month: 'this-month' };

/**
 * A range in words, as `Last 24 h`, `25 Nov 2026` or `25 Nov 2026, 10:00 – 12:00`.
 *
 * @param {import('./state.js').State} state
 */
export function describeRange({ since, until, tz }) {
  const known = rangeWords(since);
  if (known && (since === 'yesterday' ? until === 'today' : !until || until === 'now')) {
    return known;
  }
  if (isDay(since) && isDay(until)) {
    const last = addDays(until, -1);
    const day = /** @param {string} text */ (text) => formatTime(text, 'UTC', 'date');
    return last === since ? day(since) : `${day(since)} – ${day(last)}`;
  }
  const [from, to] = [readable(since, tz), until ? readable(until, tz) : 'now'];
  return `${from} – ${to}`;
}

/** @param {string} text */
function isDay(text) {
  return /^\d{4}-\d\d-\d\d$/.test(text);
}

/**
 * @param {string} time
 * @param {string} tz
 */
function readable(time, tz) {
  if (isDay(time)) {
    return formatTime(time, 'UTC', 'date');
  }
  const at = Date.parse(time);
  return Number.isNaN(at) ? (WORDS[time] ?? `${time} ago`).toLowerCase() : formatTime(at, tz, 'moment');
}

/**
 * Whether a range moves on with time.
 *
 * @param {import('./state.js').State} state
 */
export function isRunning({ since, until }) {
  if (!until || until === 'now') {
    return true;
  }
  return since !== 'yesterday' && Date.parse(until) > Date.now();
}

/**
 * @returns {{ element: HTMLElement, update: (state: import('./state.js').State) => void }}
 */
export function rangePicker() {
  const label = h('span', { class: 'range-label' });
  const element = menuButton({ label: [label, ' ▾'], title: 'Range and time zone', class: 'range' }, rangeMenu);
  return {
    element,
    update: (state) => fill(label, describeRange(state), state.tz === BROWSER_ZONE ? null : ` · ${state.tz}`),
  };
}

/** @param {() => void} close */
function rangeMenu(close) {
  const state = currentState();
  /**
   * @param {string} since
   * @param {string} [until]
   */
  function choose(since, until = '') {
    close();
    navigate({ since, until });
  }
  /**
   * @param {string} since
   * @param {string} until
   */
  function preset(since, until) {
    const pressed = String(state.since === since && state.until === until);
    return h(
      'button',
      { type: 'button', class: 'menu-item', 'aria-pressed': pressed, on: { click: () => choose(since, until) } },
      rangeWords(since),
    );
  }
  return h(
    'div',
    { class: 'range-menu' },
    h(
      'div',
      { class: 'range-presets' },
      PRESETS.map((each) => preset(each, '')),
    ),
    h(
      'div',
      { class: 'range-presets' },
      CALENDAR.map(([since, until]) => preset(since, until)),
    ),
    h('div', { class: 'range-forms' }, calendarForm(state, choose), customForm(state, choose), zoneForm(state, close)),
  );
}

/**
 * @param {import('./state.js').State} state
 * @param {(since: string, until: string) => void} choose
 */
function calendarForm(state, choose) {
  const today = wallClock(Date.now(), state.tz).slice(0, 10);
  const day = h('input', { type: 'date', 'aria-label': 'A day of the calendar', max: today });
  day.value = isDay(state.since) ? state.since : today;
  const units = /** @type {const} */ (['day', 'week', 'month']);
  /** @param {'day' | 'week' | 'month'} unit */
  function pick(unit) {
    if (day.value) {
      const { weekStart } = currentState();
      const [first, next] = calendarRange(day.value, unit, weekStart);
      // The running one by its name: it is then compared up to the same elapsed time.
      const running = first <= today && today < next;
      choose(...(running ? /** @type {const} */ ([RUNNING[unit], '']) : /** @type {const} */ ([first, next])));
    }
  }
  const buttons = units.map((unit) =>
    h('button', { type: 'button', on: { click: () => pick(unit) } }, unit[0]?.toUpperCase() + unit.slice(1)),
  );
  return h('fieldset', null, h('legend', null, 'Calendar'), day, h('div', { class: 'row' }, buttons));
}

/**
 * @param {import('./state.js').State} state
 * @param {(since: string, until: string) => void} choose
 */
function customForm(state, choose) {
  const { tz } = state;
  const from = h('input', { type: 'datetime-local', required: true });
  const to = h('input', { type: 'datetime-local' });
  const now = Date.now();
  from.value = wallClock(Date.parse(state.since) || now - 86_400_000, tz).slice(0, 16);
  to.value = wallClock(Date.parse(state.until) || now, tz).slice(0, 16);
  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const since = timeOfWall(from.value, tz);
    const until = to.value ? timeOfWall(to.value, tz) : Number.POSITIVE_INFINITY;
    to.setCustomValidity(until > since ? '' : 'The end must be after the start.');
    if (to.reportValidity()) {
      choose(new Date(since).toISOString(), to.value ? new Date(until).toISOString() : '');
    }
  }
  to.addEventListener('input', () => to.setCustomValidity(''));
  return h(
    'form',
    { on: { submit } },
    h(
      'fieldset',
      null,
      h('legend', null, 'Custom'),
      h('label', null, 'From', from),
      h('label', null, 'To', to),
      h('button', { type: 'submit' }, 'Show'),
    ),
  );
}

/**
 * @param {import('./state.js').State} state
 * @param {() => void} close
 */
function zoneForm(state, close) {
  const zone = h('input', { list: 'zones', autocomplete: 'off', spellcheck: 'false' });
  zone.value = state.tz;
  zone.addEventListener('change', () => {
    const tz = zone.value.trim() || BROWSER_ZONE;
    zone.setCustomValidity(isZone(tz) ? '' : 'This is no time zone. Write one such as Europe/Kyiv.');
    if (zone.reportValidity()) {
      // The times of the other fields are those of the zone before.
      close();
      navigate({ tz });
    }
  });
  zone.addEventListener('input', () => zone.setCustomValidity(''));
  const zones = h(
    'datalist',
    { id: 'zones' },
    allZones().map((each) => h('option', { value: each })),
  );
  const week = h(
    'select',
    { on: { change: () => navigate({ weekStart: week.value }) } },
    h('option', { value: 'monday' }, weekday(1)),
    h('option', { value: 'sunday' }, weekday(0)),
  );
  week.value = state.weekStart;
  return h(
    'fieldset',
    null,
    h('legend', null, 'Days'),
    h('label', null, 'Time zone', zone, zones),
    h('label', null, 'Week starts on', week),
  );
}

/** @param {number} day 0 is Sunday */
function weekday(day) {
  // 4 January 1970 was a Sunday.
  return new Intl.DateTimeFormat(undefined, { weekday: 'long', timeZone: 'UTC' }).format((3 + day) * 86_400_000);
}
