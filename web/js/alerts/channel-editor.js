import { fill, h } from '../dom.js';
import { choice, field, input, lineInput, linesOf } from '../form.js';
import { CHANNEL_TYPES, channelText } from './rule.js';

/** Most channels of a rule. */
const MOST_CHANNELS = 5;

/** What an address of a type looks like. */
/** @type {Record<string, string>} */
const CHANNEL_HINTS = {
  slack: 'https://hooks.slack.com/services/…',
  discord: 'https://discord.com/api/webhooks/…',
  webhook: 'https://shop.example/hook',
};

/**
 * Who is told: channels that a rule has, which are kept or removed, and new ones.
 *
 * @typedef {{ id: string } | { type: string, name?: string, url?: string, to?: string[] }} ChannelInput as the API takes it
 *
 * @param {import('./rule.js').RuleChannel[] | null} before those that a rule has; null begins with a new one
 */
export function channelEditor(before) {
  const list = h('ul', { class: 'channels' });
  const nobody = h('p', { class: 'muted' }, 'Nobody is told.');
  const add = h('button', { type: 'button', on: { click: () => append(true) } }, 'Add a channel');
  /** @type {{ element: HTMLElement, read: (place: string) => ChannelInput }[]} */
  let channels = (before ?? []).map(keptChannel);
  if (!before) {
    append(false);
  }
  show();
  return {
    element: h(
      'fieldset',
      { class: 'channel-editor', dataset: { api: 'channels' } },
      h('legend', null, 'Tell'),
      list,
      nobody,
      add,
    ),
    /** @returns {ChannelInput[]} */
    read: () => channels.map((channel, index) => channel.read(`channels.${index}`)),
  };

  /** @param {boolean} focus */
  function append(focus) {
    const channel = newChannel();
    channels.push(channel);
    show();
    if (focus) {
      channel.element.querySelector('select')?.focus();
    }
  }

  function show() {
    fill(
      list,
      channels.map(({ element }) => element),
    );
    nobody.hidden = channels.length > 0;
    add.hidden = channels.length >= MOST_CHANNELS;
  }

  /**
   * @param {() => HTMLElement} element
   * @param {string} what
   */
  function removeButton(element, what) {
    const click = () => {
      channels = channels.filter((each) => each.element !== element());
      show();
      add.focus();
    };
    return h('button', { type: 'button', 'aria-label': `Remove ${what}`, on: { click } }, 'Remove');
  }

  /** @param {import('./rule.js').RuleChannel} channel */
  function keptChannel(channel) {
    const text = channelText(channel);
    /** @type {HTMLElement} */
    const element = h(
      'li',
      { class: 'channel kept' },
      h('bdi', { class: 'breaking' }, text),
      removeButton(() => element, text),
    );
    return { element, read: () => ({ id: channel.id }) };
  }

  function newChannel() {
    const type = choice('', CHANNEL_TYPES);
    const name = input('', { maxlength: '100', placeholder: '#ops', autocomplete: 'off' });
    const url = input('', {
      required: true,
      inputmode: 'url',
      maxlength: '2048',
      autocomplete: 'off',
      spellcheck: 'false',
    });
    const to = lineInput('', { required: true, rows: '2', placeholder: 'ops@shop.example' });
    const urlField = field('URL', url, 'It is stored encrypted, and never shown again.');
    const toField = field('Addresses', to, 'One a line.');
    const typed = () => {
      const mail = type.value === 'email';
      urlField.hidden = mail;
      url.disabled = mail;
      toField.hidden = !mail;
      to.disabled = !mail;
      url.placeholder = CHANNEL_HINTS[type.value] ?? '';
    };
    type.addEventListener('change', typed);
    typed();
    const nameField = field('Name', name);
    /** @type {HTMLElement} */
    const element = h(
      'li',
      { class: 'channel' },
      field('Type', type),
      nameField,
      removeButton(() => element, 'this channel'),
      urlField,
      toField,
    );
    return { element, read };

    /**
     * @param {string} place
     * @returns {ChannelInput}
     */
    function read(place) {
      for (const [control, part] of /** @type {[HTMLElement, string][]} */ ([
        [type, 'type'],
        [name, 'name'],
        [url, 'url'],
        [to, 'to'],
      ])) {
        control.dataset.api = `${place}.${part}`;
      }
      const address = type.value === 'email' ? { to: linesOf(to.value) ?? [] } : { url: url.value.trim() };
      const called = name.value.trim();
      return { type: type.value, ...(called ? { name: called } : {}), ...address };
    }
  }
}
