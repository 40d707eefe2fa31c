import { timelinePage } from '../timeline.js';

/**
 * @param {import('../state.js').State} state
 * @param {import('../page.js').Account} account
 * @returns {import('../page.js').Page}
 */
export function sessionPage(state, account) {
  return timelinePage(state, account, 'session_id');
}
