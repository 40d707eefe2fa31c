import { formatExact, formatShare } from '../format.js';

/** What is told of visits, and how each number is written. */

const upToTwoDigits = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/**
 * A length of time, as `1m 32s`.
 *
 * @param {number} seconds
 */
export function clockLength(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return hours > 0 ? `${hours}h ${minutes}m` : minutes > 0 ? `${minutes}m ${rest}s` : `${rest}s`;
}

/**
 * One number of visits. A rate is drawn as a line, and those of several buckets cannot be added.
 *
 * @typedef {{
 *   key: 'visitors' | 'visits' | 'views' | 'views_per_visit' | 'bounce_rate' | 'mean_seconds',
 *   label: string, title: string, rate: boolean, adds: boolean, write: (value: number) => string, factor: number, unit: string,
 * }} Measure `adds` says whether the numbers of some buckets make that of all; `factor` and `unit` are those of the axis
 */

/** @type {Measure[]} */
export const MEASURES = [
  {
    key: 'visitors',
    label: 'Visitors',
    title: 'Users, and sessions without a user, that visited',
    rate: false,
    adds: false,
    write: formatExact,
    factor: 1,
    unit: '',
  },
  {
    key: 'visits',
    label: 'Visits',
    title: 'What a visitor does without a pause of half an hour is one visit',
    rate: false,
    adds: true,
    write: formatExact,
    factor: 1,
    unit: '',
  },
  {
    key: 'views',
    label: 'Views',
    title: 'Pages that were viewed; with a filter, views that match it',
    rate: false,
    adds: true,
    write: formatExact,
    factor: 1,
    unit: '',
  },
  {
    key: 'views_per_visit',
    label: 'Views per visit',
    title: 'Views, divided by visits',
    rate: true,
    adds: false,
    write: upToTwoDigits.format,
    factor: 1,
    unit: '',
  },
  {
    key: 'bounce_rate',
    label: 'Bounce rate',
    title: 'The share of visits with one view and nothing else',
    rate: true,
    adds: false,
    write: formatShare,
    factor: 100,
    unit: ', %',
  },
  {
    key: 'mean_seconds',
    label: 'Duration',
    title: 'The mean time from the first event of a visit to the end of its last one',
    rate: true,
    adds: false,
    write: clockLength,
    factor: 1,
    unit: ', seconds',
  },
];
