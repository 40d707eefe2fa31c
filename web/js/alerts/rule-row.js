import { h } from '../dom.js';
import { formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { channelText, ruleState } from './rule.js';
import { ruleActions } from './rule-actions.js';

/**
 * A rule: its sentence, state and channels, and what admins can do with it.
 *
 * @param {import('../state.js').State} state
 * @param {import('./rule.js').Rule} rule
 * @param {{ mayChange: boolean, linked: boolean, done: (deleted?: boolean) => void }} options `linked` leads to its history
 */
export function ruleRow(state, rule, { mayChange, linked, done }) {
  const { id, name, sentence, snoozed_until: snoozed, channels } = rule;
  const to = { ...state, view: 'alerts', options: { rule: id } };
  const title = linked
    ? stateLink(to, { class: 'rule-sentence', title: 'Shows its history' }, sentence)
    : h('h2', { class: 'rule-sentence' }, sentence);
  return [
    h(
      'div',
      { class: 'rule-text breaking' },
      // A name by default is a part of the sentence.
      !sentence.includes(name) && h('div', { class: 'rule-name', dir: 'auto' }, name),
      title,
      h(
        'div',
        { class: 'rule-facts' },
        ruleState(rule, state.tz),
        snoozed && h('span', null, `☾ Snoozed until ${formatTime(snoozed, state.tz, 'moment')}`),
        channels.length === 0
          ? h('span', { class: 'rule-state unknown' }, 'No channel: nobody is told')
          : channels.map((channel) => h('bdi', { class: 'muted' }, channelText(channel))),
      ),
    ),
    mayChange && h('div', { class: 'rule-actions' }, ruleActions(state, rule, done)),
  ];
}

/**
 * Replaces what an element shows; the control that had the focus has it again.
 *
 * @param {HTMLElement} element
 * @param {() => void} replace
 * @param {string} lately the key of the control that was used last
 */
export function keepRuleFocus(element, replace, lately) {
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && element.contains(focused) ? focused.dataset.key : '';
  const lost = focused === document.body || key;
  replace();
  if (lost) {
    /** @type {HTMLElement[]} */
    const controls = [...element.querySelectorAll('[data-key]')].filter((each) => each instanceof HTMLElement);
    controls.find((each) => each.dataset.key === (key || lately))?.focus({ preventScroll: true });
  }
}
