import { appPath, get } from '../api.js';
import { h } from '../dom.js';
import { stateLink } from '../link.js';
import { Panel } from '../panel.js';
import { timeCell } from './keys.js';
import { cut, listTable, tabHead } from './list.js';

/** @typedef {{ stream_shard: string, sequence_number: string, keys: string, error: string, at: string }} DeadLetter */

/**
 * What could not be counted.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function deadLettersTab(state) {
  const panel = new Panel({ what: 'Dead letters' });
  /** @type {DeadLetter[]} */
  let letters = [];
  load('');
  return { element: panel.element, close: () => panel.close() };

  /** @param {string} next */
  function load(next) {
    panel.show(
      (signal) => get(appPath(state.app ?? '', 'dead-letters'), next ? [['next', next]] : [], signal),
      (page) => {
        letters = next ? [...letters, ...page.items] : page.items;
        return [
          tabHead('Dead letters', [
            'Records of the stream that could not be counted. ',
            stateLink({ ...state, options: { tab: 'audit' } }, { class: 'text-link' }, 'A recount of their day'),
            ' repairs the counts.',
          ]),
          listTable('Dead letters', ['Found', 'Error', 'Keys', 'Record'], letters.map(row), 'Everything was counted.'),
          page.next ? h('button', { type: 'button', on: { click: () => load(page.next) } }, 'Show more') : null,
        ];
      },
    );
  }

  /** @param {DeadLetter} letter */
  function row({ at, error, keys, stream_shard, sequence_number }) {
    return [timeCell(at, state.tz), cut(error), cut(keys, 'mono'), cut(`${stream_shard} ${sequence_number}`, 'mono')];
  }
}
