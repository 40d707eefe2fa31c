import { timelinePage } from '../timeline.js';

/**
 * @param {import('../state.js').State} state
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function userPage(state, account) {
  return timelinePage(state, account, 'user_id');
}
