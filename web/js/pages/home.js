import { h } from '../dom.js';

/**
 * @param {import('../state.js').State} _state
 * @param {import('../page.js').Account} _account
 * @returns {import('../page.js').Page}
 */
export function homePage(_state, _account) {
  return { element: h('div', { class: 'page' }, h('h1', null, 'Home')), update: () => {}, close: () => {} };
}
