import { svg } from '../dom.js';

const TALL = 24;

/**
 * Counts as bars that fill the width of their holder. Any count shows.
 *
 * @param {number[]} counts
 * @param {string} label what it shows, for those who do not see it
 */
export function bars(counts, label) {
  const max = Math.max(1, ...counts);
  const parts = counts.map((count, i) => {
    const tall = count > 0 ? Math.max(2, (count / max) * TALL) : 0;
    return tall && `M${i * 10 + 1} ${TALL}v${-tall.toFixed(1)}h8V${TALL}z`;
  });
  return svg(
    'svg',
    {
      class: 'bars',
      viewBox: `0 0 ${counts.length * 10} ${TALL}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    svg('path', { class: 'bars-base', d: `M0 ${TALL - 0.5}H${counts.length * 10}` }),
    svg('path', { d: parts.filter(Boolean).join('') }),
  );
}
