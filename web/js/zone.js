/** Days and times of a time zone, by the browser's own tables. A day is written `2026-11-25`. */

/** Every time zone that the browser knows. */
export function allZones() {
  const zones = Intl.supportedValuesOf('timeZone');
  return zones.includes('UTC') ? zones : ['UTC', ...zones];
}

/**
 * @param {string} tz
 * @returns {boolean}
 */
export function isZone(tz) {
  try {
    return Boolean(new Intl.DateTimeFormat(undefined, { timeZone: tz }));
  } catch {
    return false;
  }
}

/**
 * The wall clock of a zone at a time, as `2026-11-25T10:32:07`.
 *
 * @param {number} time
 * @param {string} tz
 */
export function wallClock(time, tz) {
  return wallFormat(tz).format(time).replace(' ', 'T').replace(',', '');
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const wallFormats = new Map();

/** @param {string} tz */
function wallFormat(tz) {
  let format = wallFormats.get(tz);
  if (!format) {
    // Swedish dates are those of ISO 8601.
    format = new Intl.DateTimeFormat('sv', { timeZone: tz, dateStyle: 'short', timeStyle: 'medium' });
    wallFormats.set(tz, format);
  }
  return format;
}

/**
 * How far the wall clock of a zone is ahead of UTC, in milliseconds.
 *
 * @param {number} time
 * @param {string} tz
 */
export function zoneOffset(time, tz) {
  return Date.parse(`${wallClock(time, tz)}Z`) - Math.floor(time / 1000) * 1000;
}

/**
 * The time at which the wall clock of a zone shows a text such as `2026-11-25T10:00`. In the hour that a change of the clocks
 * leaves out, the time after it.
 *
 * @param {string} wall
 * @param {string} tz
 */
export function timeOfWall(wall, tz) {
  const utc = Date.parse(`${wall}Z`);
  const first = utc - zoneOffset(utc, tz);
  const second = utc - zoneOffset(first, tz);
  // Where the clocks leave the text out, the two differ, and neither shows it.
  return Date.parse(`${wallClock(second, tz)}Z`) === utc ? second : Math.max(first, second);
}

/**
 * @param {string} day
 * @param {number} days
 */
export function addDays(day, days) {
  return new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10);
}

/**
 * The calendar day, week or month that holds a day: its first day, and the day after its last.
 *
 * @param {string} day
 * @param {'day' | 'week' | 'month'} unit
 * @param {string} weekStart `monday` or `sunday`
 * @returns {[string, string]}
 */
export function calendarRange(day, unit, weekStart) {
  const date = new Date(day);
  if (unit === 'month') {
    const start = `${day.slice(0, 7)}-01`;
    return [start, new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)).toISOString().slice(0, 10)];
  }
  if (unit === 'week') {
    const start = addDays(day, -((date.getUTCDay() + (weekStart === 'sunday' ? 0 : 6)) % 7));
    return [start, addDays(start, 7)];
  }
  return [day, addDays(day, 1)];
}
