/** Numbers, times and sizes in the reader's language. */

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });

/**
 * A count: exact below 100,000, then as `1.24 M`.
 *
 * @param {number} count
 */
export function formatCount(count) {
  return Math.abs(count) < 100_000 ? whole.format(count) : short.format(count).replace(/(\d)(\p{L})/u, '$1\u202f$2');
}

/**
 * @param {number} count
 */
export function formatExact(count) {
  return whole.format(count);
}

/**
 * A part of one, as `1.6%`.
 *
 * @param {number} share
 */
export function formatShare(share) {
  return percent.format(share);
}

/**
 * The change against a count of before: `+12%`, `−3.1%`, `new` where there was nothing, and an empty string where nothing changed
 * from nothing.
 *
 * @param {number} count
 * @param {number | null | undefined} previous
 */
export function formatChange(count, previous) {
  if (previous === null || previous === undefined || (previous === 0 && count === 0)) {
    return '';
  }
  if (previous === 0) {
    return 'new';
  }
  const change = (count - previous) / previous;
  const digits = Math.abs(change) < 0.1 ? 1 : 0;
  const text = Math.abs(change * 100).toFixed(digits);
  if (Number(text) === 0) {
    return '0%';
  }
  return change > 9.99 ? `×${formatCount(Math.round(change + 1))}` : `${change < 0 ? '−' : '+'}${text}%`;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {string} tz
 * @param {Intl.DateTimeFormatOptions} options
 */
function dateFormat(tz, options) {
  const key = `${tz} ${JSON.stringify(options)}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(undefined, { timeZone: tz, ...options });
    formats.set(key, format);
  }
  return format;
}

/** @typedef {'minute' | 'hour' | 'day' | 'month' | 'second' | 'monthDay' | 'date' | 'moment' | 'full'} Precision */

/** @type {Record<Precision, Intl.DateTimeFormatOptions>} */
const PRECISIONS = {
  second: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  minute: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  hour: { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  day: { weekday: 'short', day: 'numeric', month: 'short' },
  month: { month: 'long', year: 'numeric' },
  monthDay: { day: 'numeric', month: 'short' },
  date: { day: 'numeric', month: 'short', year: 'numeric' },
  moment: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  full: { dateStyle: 'medium', timeStyle: 'medium' },
};

/**
 * @param {string | number | Date} time
 * @param {string} tz an IANA name
 * @param {Precision} precision
 */
export function formatTime(time, tz, precision) {
  return dateFormat(tz, PRECISIONS[precision]).format(new Date(time));
}

/**
 * The range of some buckets in words, as `Thu 10:00 – 11:00`.
 *
 * @param {{ interval: string, tz: string, starts: number[], ends: number[] }} buckets
 * @param {number} first
 * @param {number} [last]
 */
export function bucketLabel({ interval, tz, starts, ends }, first, last = first) {
  const start = starts[first] ?? 0;
  const end = ends[last] ?? 0;
  if (interval === 'MONTH') {
    const months = [formatTime(start, tz, 'month'), formatTime(starts[last] ?? 0, tz, 'month')];
    return first === last ? months[0] : months.join(' – ');
  }
  if (interval === 'DAY' && first === last) {
    return formatTime(start, tz, 'day');
  }
  if (interval === 'DAY' || interval === 'WEEK') {
    return `${formatTime(start, tz, 'day')} – ${formatTime(end - 1, tz, 'day')}`;
  }
  return `${formatTime(start, tz, 'moment')} – ${formatTime(end, tz, 'minute')}`;
}

/**
 * The milliseconds of a time, as `.042`.
 *
 * @param {string | number | Date} time
 */
export function formatMillis(time) {
  return `.${String(new Date(time).getUTCMilliseconds()).padStart(3, '0')}`;
}

const relative = new Intl.RelativeTimeFormat(undefined, { style: 'short', numeric: 'auto' });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/**
 * How long ago a time was, as `3 min ago`.
 *
 * @param {string | number | Date} time
 */
export function formatAgo(time) {
  const seconds = Math.round((new Date(time).getTime() - Date.now()) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) {
      return relative.format(Math.trunc(seconds / size), unit);
    }
  }
  return relative.format(0, 'second');
}

/**
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 && unit > 0 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/**
 * @param {number} dollars
 */
export function formatDollars(dollars) {
  return new Intl.NumberFormat(undefined, { style: 'currency', currency: 'USD' }).format(dollars);
}

/**
 * A duration of whole seconds, as `1 h 4 min`.
 *
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (seconds < 60) {
    return `${Math.round(seconds)} s`;
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
