import { svg } from './dom.js';

/** Points of a line, at most: more of them would fill it. */
const POINTS = 60;

/**
 * A line of counts, 24 px high, that fills the width of its holder. Where there are more than fit, a point is the highest of its
 * neighbours: not all counts can be added, such as those of distinct names.
 *
 * @param {number[]} counts
 * @param {string} label what it shows, for those who do not see it
 */
export function sparkline(counts, label) {
  const size = Math.ceil(counts.length / POINTS);
  const values = Array.from({ length: Math.ceil(counts.length / size) || 0 }, (_, i) =>
    Math.max(...counts.slice(i * size, (i + 1) * size)),
  );
  const max = Math.max(1, ...values);
  const last = Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${((i / last) * 100).toFixed(2)},${(22.5 - (value / max) * 21).toFixed(2)}`);
  return svg(
    'svg',
    { class: 'sparkline', viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    values.length > 1 && svg('polyline', { points: points.join(' '), 'vector-effect': 'non-scaling-stroke' }),
  );
}
