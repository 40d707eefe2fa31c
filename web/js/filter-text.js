import { FILTER_FIELDS, SEARCH } from './state.js';

/** Reads a filter that somebody typed, such as `level is ERROR, FATAL`, and writes one in words. */

/** @typedef {import('./state.js').Operator} Operator */

/** The levels, worst first. */
export const LEVELS = ['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE'];

/** @type {Record<Operator, string>} */
const VERBS = {
  '': 'is',
  ne: 'is not',
  gt: '>',
  gte: '≥',
  lt: '<',
  lte: '≤',
  contains: 'contains',
  exists: 'exists',
};

/** @type {Record<string, Operator>} */
const OPERATORS = {
  'is not': 'ne',
  '!=': 'ne',
  '≠': 'ne',
  is: '',
  '=': '',
  ':': '',
  '>=': 'gte',
  '≥': 'gte',
  '<=': 'lte',
  '≤': 'lte',
  '>': 'gt',
  '<': 'lt',
  contains: 'contains',
  exists: 'exists',
};

const TYPED = /^\s*(\S+?)\s*(\sis not(?=\s)|!=|≠|\sis(?=\s)|>=|≥|<=|≤|=|:|>|<|\scontains(?=\s)|\sexists)\s*(.*?)\s*$/i;

/** What people call a field. */
/** @type {Record<string, string>} */
const SHORT = { session: 'session_id', user: 'user_id' };

/**
 * The name of a field on the page.
 *
 * @param {string} field
 */
export function fieldLabel(field) {
  return field === SEARCH ? 'text' : field.replace(/_id$/, '');
}

/**
 * @param {{ field: string, operator: Operator, values?: string[] }} filter
 */
export function verbOf({ field, operator, values }) {
  if (operator === 'exists' && values?.[0] === 'false') {
    return 'is missing';
  }
  return field === SEARCH ? VERBS.contains : VERBS[operator];
}

/**
 * What the groups are called that the page has shown: their ids say nothing.
 *
 * @type {Map<string, string>}
 */
export const groupTexts = new Map();

/**
 * The values of a condition.
 *
 * @param {import('./state.js').Filter} filter
 */
export function valuesText({ field, values }) {
  return values.map((each) => (field === 'group' && groupTexts.get(each)) || each).join(', ');
}

/**
 * A condition in words, as `level is ERROR, FATAL`.
 *
 * @param {import('./state.js').Filter} filter
 */
export function describeFilter(filter) {
  const { field, operator } = filter;
  return `${fieldLabel(field)} ${verbOf(filter)}${operator === 'exists' ? '' : ` ${valuesText(filter)}`}`;
}

/**
 * Reads what somebody typed.
 *
 * @param {string} text
 * @returns {import('./state.js').Filter | string} what is wrong with it, where it is no filter
 */
export function parseFilter(text) {
  const found = TYPED.exec(text);
  if (!found) {
    return 'Write a field, a verb and a value, such as “level is ERROR” or “plan is pro”.';
  }
  const typed = found[1] ?? '';
  const operator = OPERATORS[(found[2] ?? '').trim().toLowerCase()] ?? '';
  const rest = found[3] ?? '';
  const known = SHORT[typed.toLowerCase()] ?? typed.toLowerCase();
  const field = FILTER_FIELDS.includes(known) ? known : typed.startsWith('attr.') ? typed : `attr.${typed}`;
  if (operator === 'exists') {
    return { field, operator, values: ['true'] };
  }
  if (!rest) {
    return 'A value is missing.';
  }
  if (!field.startsWith('attr.') && operator !== '' && operator !== 'ne') {
    return `“${VERBS[operator]}” works on attributes alone, such as “price > 10”.`;
  }
  if (field !== 'level') {
    return { field, operator, values: [rest] };
  }
  const levels = rest
    .toUpperCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  const wrong = levels.find((each) => !LEVELS.includes(each));
  return wrong ? `${wrong} is no level. There are ${LEVELS.join(', ')}.` : { field, operator, values: levels };
}
