import { h } from '../dom.js';
import { choice } from '../form.js';
import { formatTime } from '../format.js';

/**
 * An alert rule as the API has it.
 *
 * @typedef {{ id: string, type: string, name: string | null, host?: string, to?: string[], secret?: string }} RuleChannel
 * @typedef {{
 *   above?: number, below?: number, changes_by?: number, against?: string, direction?: string,
 *   new_issue?: boolean, regression?: boolean, report?: 'day' | 'week', at?: string, tz?: string, weekday?: string,
 * }} RuleCondition
 * @typedef {{
 *   channel: string, type: string, status: 'pending' | 'delivered' | 'failed' | 'snoozed', attempts: number,
 *   next_at: string | null, error: string | null,
 * }} RuleDelivery
 * @typedef {{
 *   at: string, found_at: string, from: RuleState, to: RuleState, value: number | null, from_none?: true, threshold: number | null,
 *   condition: string, since?: string, issue?: string, issues?: number, reason?: string, deliveries: RuleDelivery[],
 * }} RuleTransition
 * @typedef {'ok' | 'firing' | 'unknown'} RuleState
 * @typedef {{
 *   id: string, name: string, sentence: string, filter: Record<string, string[]>, window: string,
 *   condition: RuleCondition, for: string | null, renotify: string | null, snoozed_until: string | null,
 *   enabled: boolean, channels: RuleChannel[], state: RuleState, since: string, created_at: string,
 *   history?: RuleTransition[],
 * }} Rule
 */

/** The mark and the word of each state. */
const RULE_STATES = /** @type {const} */ ({
  ok: ['○', 'OK'],
  firing: ['●', 'Firing'],
  unknown: ['◐', 'Unknown'],
});

/**
 * A state as a mark and a word.
 *
 * @param {RuleState} state
 */
export function stateMark(state) {
  const [mark, word] = RULE_STATES[state] ?? ['◐', state];
  return h('span', { class: `rule-state ${state}` }, h('span', { 'aria-hidden': 'true' }, `${mark} `), word);
}

/**
 * Whether a rule is judged, its state and since when.
 *
 * @param {Rule} rule
 * @param {string} tz
 */
export function ruleState({ enabled, state, since }, tz) {
  if (!enabled) {
    return h('span', { class: 'rule-state off' }, h('span', { 'aria-hidden': 'true' }, '– '), 'Off');
  }
  return h('span', null, stateMark(state), ` since ${formatTime(since, tz, 'moment')}`);
}

/** @param {RuleCondition} condition */
export function isAboutIssues({ new_issue: isNew, regression }) {
  return Boolean(isNew || regression);
}

/** What types of channels are called. */
export const CHANNEL_TYPES = /** @type {[string, string][]} */ ([
  ['slack', 'Slack'],
  ['discord', 'Discord'],
  ['webhook', 'Webhook'],
  ['email', 'E-mail'],
]);

/** @param {string} type */
export function typeText(type) {
  return CHANNEL_TYPES.find(([each]) => each === type)?.[1] ?? type;
}

/**
 * A channel in words: type, name, and where it leads as far as that is known.
 *
 * @param {RuleChannel} channel
 */
export function channelText({ type, name, host, to }) {
  return [typeText(type), name, host ?? to?.join(', ')].filter(Boolean).join(' · ');
}

/** @type {Record<string, [string, string]>} */
const LENGTH_UNITS = { m: ['minute', 'minutes'], h: ['hour', 'hours'], d: ['day', 'days'], w: ['week', 'weeks'] };

/**
 * A length of the API in words: `5 minutes` of `5m`.
 *
 * @param {string} length
 */
function lengthText(length) {
  const [one = '', many = ''] = LENGTH_UNITS[length.slice(-1)] ?? [];
  const count = Number(length.slice(0, -1));
  return one ? `${count} ${count === 1 ? one : many}` : length;
}

/**
 * One of some lengths, and the one that a rule has.
 *
 * @param {string} name
 * @param {string[]} lengths
 * @param {string | null} chosen
 * @param {string} [none] what it is called to have none
 */
export function lengthChoice(name, lengths, chosen, none) {
  const all = chosen && !lengths.includes(chosen) ? [...lengths, chosen] : lengths;
  const texts = all.map((each) => /** @type {[string, string]} */ ([each, lengthText(each)]));
  return choice(name, none ? [['', none], ...texts] : texts, chosen ?? (none ? '' : undefined));
}
