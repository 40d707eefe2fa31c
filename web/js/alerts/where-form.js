import { appPath, request } from '../api.js';
import { notify, openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { checkbox } from '../form.js';
import { loadSheet } from '../later.js';
import { channelEditor } from './channel-editor.js';
import { clearFieldErrors, showAtFields } from './field-errors.js';
import { secretsOf } from './rule-form.js';

/** Rules that a click adds. */
const MORE_RULES = /** @type {const} */ ([
  {
    key: 'silence',
    label: 'When no events come for 15 min',
    rule: { name: 'No events for 15 min', window: '15m', condition: { below: 1 } },
  },
  {
    key: 'doubled',
    label: 'When errors have doubled against yesterday',
    rule: {
      name: 'Errors doubled against yesterday',
      filter: { level: ['ERROR', 'FATAL'] },
      window: '1h',
      condition: { changes_by: 100, against: '1d', direction: 'up' },
    },
  },
]);

/**
 * Asks where new errors go: sets the channels of the rules about issues, and adds rules for the same channels.
 *
 * @param {string} app
 * @param {import('./rule.js').Rule[]} rules those about issues
 * @param {() => void} done
 */
export async function askWhere(app, rules, done) {
  await loadSheet('alerts.css');
  const channels = channelEditor(null);
  /** What was done: what failed is tried again by itself. */
  /** @type {Map<string, import('./rule.js').Rule>} */
  const made = new Map();
  const dialog = openDialog(
    { title: 'Where should new errors go?', action: 'Save', closed: done },
    [
      channels.element,
      h(
        'fieldset',
        null,
        h('legend', null, 'When to tell'),
        rules.map(({ id, condition }) =>
          checkbox(id, condition.new_issue ? 'When an error is new' : 'When a resolved error occurs again', {
            checked: true,
          }),
        ),
        MORE_RULES.map(({ key, label }) => checkbox(key, label)),
      ),
      h('p', { class: 'hint' }, 'All of it can be changed under “Alerts”.'),
    ],
    async (data) => {
      clearFieldErrors(dialog);
      const told = channels.read();
      try {
        for (const { id } of rules) {
          await once(data, id, 'PATCH', appPath(app, 'alerts', id), { channels: told });
        }
        for (const { key, rule } of MORE_RULES) {
          await once(data, key, 'POST', appPath(app, 'alerts'), { ...rule, channels: told });
        }
      } catch (error) {
        throw showAtFields(dialog, error);
      }
      notify('Saved.');
      return secretsOf([...made.values()]);
    },
  );
  dialog.classList.add('rule-dialog');

  /**
   * @param {FormData} data
   * @param {string} key
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   */
  async function once(data, key, method, path, body) {
    if (data.has(key) && !made.has(key)) {
      made.set(key, await request(method, path, { body }));
    }
  }
}
