import { h } from './dom.js';
import { formatChange, formatExact } from './format.js';

/**
 * The change of a count against the period before. It is grey; for errors, more is worse and has their colour.
 *
 * @param {number} count
 * @param {number | null | undefined} previous
 * @param {{ errors?: boolean, write?: (count: number) => string }} [options] `write` makes the text of the one before
 */
export function changeText(count, previous, { errors = false, write = formatExact } = {}) {
  const text = formatChange(count, previous);
  const worse = errors && count > (previous ?? 0);
  const better = errors && count < (previous ?? 0);
  const title = text && `Before: ${write(previous ?? 0)}`;
  return h('span', { class: `change${worse ? ' worse' : better ? ' better' : ''}`, title: title || null }, text);
}
