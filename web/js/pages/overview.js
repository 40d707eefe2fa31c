import { h } from '../dom.js';
import { filterBar } from '../filter-bar.js';
import { valueButton } from '../value.js';

/**
 * @param {import('../state.js').State} state
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function overviewPage(state, account) {
  const bar = filterBar(account, { compare: true });
  bar.update(state);
  return {
    element: h(
      'div',
      { class: 'page' },
      h('h1', null, 'Overview'),
      bar.element,
      h('p', null, valueButton('level', 'ERROR')),
    ),
    update: bar.update,
    close: bar.close,
  };
}
