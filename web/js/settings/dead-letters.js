import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { stateLink } from '../link.js';
import { timeCell } from './keys.js';
import { cut, listTab } from './list.js';

/** @typedef {{ stream_shard: string, sequence_number: string, keys: string, error: string, at: string }} DeadLetter */

/**
 * What could not be counted.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function deadLettersTab(state) {
  /** @type {DeadLetter[]} */
  let letters = [];
  /** @type {string | null} */
  let next = null;
  /** @type {import('../pages/settings.js').Tab & { load: () => void }} */
  const tab = listTab({
    title: 'Dead letters',
    about: [
      'Records of the stream that could not be counted. ',
      stateLink({ ...state, options: { tab: 'audit' } }, { class: 'text-link' }, 'A recount of their day'),
      ' repairs the counts.',
    ],
    read: async (signal) => {
      const page = await get(appPath(state.app ?? '', 'dead-letters'), next ? [['next', next]] : [], signal);
      letters = [...letters, ...page.items];
      next = page.next;
      return letters;
    },
    columns: ['Found', 'Error', 'Keys', 'Record'],
    row,
    empty: 'Everything was counted.',
    after: () => next && h('button', { type: 'button', class: 'more', on: { click: tab.load } }, 'Show more'),
  });
  return tab;

  /** @param {DeadLetter} letter */
  function row({ at, error, keys, stream_shard, sequence_number }) {
    return [timeCell(at, state.tz), cut(error), cut(keys, 'mono'), cut(`${stream_shard} ${sequence_number}`, 'mono')];
  }
}
