import { appPath, request } from '../api.js';
import { shownOnce } from '../create-key.js';
import { describe, notify, openDialog } from '../dialog.js';
import { h } from '../dom.js';
import { menuButton } from '../menu.js';
import { channelText, typeText } from './rule.js';
import { openRuleForm } from './rule-form.js';

/** How long a rule can be snoozed from here: as the API and as people say it. */
const SNOOZES = /** @type {const} */ ([
  ['1h', '1 hour'],
  ['8h', '8 hours'],
  ['1d', '1 day'],
]);

/**
 * What admins can do with a rule.
 *
 * @typedef {import('./rule.js').Rule} Rule
 *
 * @param {import('../state.js').State} state
 * @param {Rule} rule
 * @param {(deleted?: boolean) => void} done called after each change
 */
export function ruleActions(state, rule, done) {
  const app = state.app ?? '';
  const button = (/** @type {string} */ label, /** @type {() => void} */ click) =>
    h(
      'button',
      {
        type: 'button',
        'aria-label': `${label}: ${rule.sentence}`,
        dataset: { key: `${label} ${rule.id}` },
        on: { click },
      },
      label,
    );
  return [
    h(
      'label',
      { class: 'choice rule-switch' },
      h('input', {
        type: 'checkbox',
        role: 'switch',
        checked: rule.enabled,
        'aria-label': `On: ${rule.sentence}`,
        dataset: { key: `On ${rule.id}` },
        on: { change: (/** @type {{ target: HTMLInputElement }} */ { target }) => change({ enabled: target.checked }) },
      }),
      'On',
    ),
    button('Edit', () => openRuleForm(state, rule, done)),
    snoozeMenu(),
    button('Test', () => testRule(app, rule)),
    moreMenu(),
  ];

  /** @param {Record<string, unknown>} body */
  async function change(body) {
    try {
      await request('PATCH', appPath(app, 'alerts', rule.id), { body });
    } catch (error) {
      notify(`The rule is as it was. ${describe(error)}`);
    }
    done();
  }

  function snoozeMenu() {
    const holder = menuButton({ label: 'Snooze ▾', align: 'right' }, (close) => {
      const item = (/** @type {string} */ label, /** @type {string | null} */ until) =>
        menuItem(label, close, () => change({ snoozed_until: until }));
      return [
        ...SNOOZES.map(([length, text]) => item(`For ${text}`, length)),
        rule.snoozed_until && item('End the snooze', null),
      ];
    });
    nameButton(holder, 'Snooze');
    return holder;
  }

  function moreMenu() {
    const holder = menuButton({ label: '⋯', title: 'More', class: 'icon', align: 'right' }, (close) => [
      rule.channels
        .filter(({ type }) => type === 'webhook')
        .map((channel) =>
          menuItem(`New secret for ${channel.name ?? channel.host}…`, close, () => rotateSecret(app, rule, channel)),
        ),
      menuItem('Delete…', close, () => deleteRule(app, rule, () => done(true))),
    ]);
    nameButton(holder, 'More');
    return holder;
  }

  /**
   * @param {HTMLElement} holder
   * @param {string} label
   */
  function nameButton({ firstElementChild }, label) {
    firstElementChild?.setAttribute('aria-label', `${label}: ${rule.sentence}`);
    firstElementChild?.setAttribute('data-key', `${label} ${rule.id}`);
  }
}

/**
 * @param {string} label
 * @param {() => void} close
 * @param {() => void} run
 */
function menuItem(label, close, run) {
  const click = () => {
    close();
    run();
  };
  return h('button', { type: 'button', class: 'menu-item quiet breaking', on: { click } }, label);
}

/**
 * Sends a test to each channel, and shows what each said.
 *
 * @param {string} app
 * @param {Rule} rule
 */
function testRule(app, { id, channels }) {
  if (channels.length === 0) {
    notify('The rule has no channel: edit it to add one.');
    return;
  }
  const list = (/** @type {import('../dom.js').Child} */ items) => h('ul', { class: 'channels' }, items);
  const dialog = openDialog(
    { title: 'Send a test', action: 'Send' },
    [
      h('p', null, 'Each channel gets one message that says it is a test:'),
      list(channels.map((channel) => h('li', { class: 'breaking' }, channelText(channel)))),
    ],
    async () => {
      /** @type {{ items: { channel: string, type: string, delivered: boolean, error: string | null }[] }} */
      const { items } = await request('POST', appPath(app, 'alerts', id, 'test'), { body: {} });
      return list(
        items.map(({ channel, type, delivered, error }) => {
          const known = channels.find((each) => each.id === channel);
          return h(
            'li',
            { class: 'breaking' },
            h('bdi', null, known ? channelText(known) : typeText(type)),
            h(
              'p',
              { class: delivered ? 'rule-state ok' : 'rule-state firing' },
              delivered ? '✓ It took the test.' : `✕ ${error}`,
            ),
          );
        }),
      );
    },
  );
  dialog.classList.add('rule-dialog');
}

/**
 * @param {string} app
 * @param {Rule} rule
 * @param {import('./rule.js').RuleChannel} channel
 */
function rotateSecret(app, rule, channel) {
  openDialog(
    { title: 'Make a new secret?', action: 'Make a new secret' },
    h(
      'p',
      { class: 'breaking' },
      h('strong', null, channelText(channel)),
      ' gets a new secret. What is sent is signed with the new and the old one until the next rotation.',
    ),
    async () => {
      const path = appPath(app, 'alerts', rule.id, 'channels', channel.id, 'secret');
      return shownOnce(`secret of ${channelText(channel)}`, (await request('POST', path, { body: {} })).secret);
    },
  );
}

/**
 * @param {string} app
 * @param {Rule} rule
 * @param {() => void} done
 */
function deleteRule(app, { id, sentence }, done) {
  openDialog(
    { title: 'Delete this rule?', action: 'Delete', danger: true },
    h('p', { class: 'breaking' }, h('strong', null, sentence), ' goes with its history. It cannot be undone.'),
    async () => {
      await request('DELETE', appPath(app, 'alerts', id));
      notify('Deleted.');
      done();
    },
  );
}
