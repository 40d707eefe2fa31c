import { appPath, get } from '../api.js';
import { describe, notify } from '../dialog.js';
import { fill, h } from '../dom.js';
import { alertsPart } from '../later.js';
import { isAdmin } from '../page.js';

/**
 * A line that asks where new errors go, while no rule about them has a channel.
 *
 * @param {import('../page.js').Account} account
 */
export function whereNote(account) {
  const element = h('div', { class: 'where-note', hidden: true });
  let asked = '';
  return { element, load };

  /**
   * Reads the rules of an app once. Errors are shown without them if that fails.
   *
   * @param {string} app
   * @param {AbortSignal} [signal]
   */
  async function load(app, signal) {
    if (!isAdmin(account) || asked === app) {
      return;
    }
    try {
      show(app, (await get(appPath(app, 'alerts'), [], signal)).items);
      asked = app;
    } catch {
      element.hidden = true;
    }
  }

  /**
   * @param {string} app
   * @param {import('../alerts/rule.js').Rule[]} rules
   */
  function show(app, rules) {
    const about = rules.filter(({ enabled, condition }) => enabled && (condition.new_issue || condition.regression));
    element.hidden = about.length === 0 || about.some(({ channels }) => channels.length > 0);
    const again = () => {
      asked = '';
      load(app);
    };
    const click = () =>
      alertsPart()
        .then(({ openWhereForm }) => openWhereForm(app, about, again))
        .catch((error) => notify(describe(error)));
    fill(
      element,
      h('span', null, 'Nobody is told about new errors.'),
      h('button', { type: 'button', on: { click } }, 'Where should new errors go?'),
    );
  }
}
