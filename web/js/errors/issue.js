import { serverNow } from '../api.js';
import { h } from '../dom.js';
import { formatAgo, formatExact, formatTime } from '../format.js';

/**
 * An issue as the API has it: a group of errors, and what people say about it.
 *
 * @typedef {{
 *   id: string,
 *   title: string,
 *   name: string | null,
 *   place: string | null,
 *   level: string | null,
 *   first_seen: string,
 *   last_seen: string,
 *   count: number,
 *   series: number[],
 *   example: string | null,
 *   releases: string[],
 * } & IssueState} Issue
 * @typedef {{
 *   state: 'open' | 'resolved' | 'ignored',
 *   regressed: boolean,
 *   regressed_at: string | null,
 *   resolved_at: string | null,
 *   resolved_in: string | null,
 *   ignored_until: string | null,
 *   ignored_for: number | null,
 * }} IssueState
 */

/** How long an issue is new, in milliseconds. */
const NEW_FOR = 86_400_000;

/** Characters of a title in its element: the rest is cut off anyway. */
const TITLE = 500;

/**
 * The message of an issue without the name, which stands before it. Empty where there is no other text.
 *
 * @param {Issue} issue
 */
export function issueMessage({ name, title }) {
  if (!name || title === name) {
    return name ? '' : title;
  }
  return title.startsWith(`${name}: `) ? title.slice(name.length + 2) : title;
}

/**
 * The title in one line of text.
 *
 * @param {Issue} issue
 */
export function issueText(issue) {
  return [issue.name, issueMessage(issue)].filter(Boolean).join(': ');
}

/**
 * The name, bold, and the message.
 *
 * @param {Issue} issue
 */
export function issueTitle(issue) {
  const message = issueMessage(issue);
  return [
    issue.name && h('bdi', { class: 'issue-name' }, issue.name.slice(0, TITLE)),
    message && [' ', h('bdi', { class: issue.name ? 'muted' : 'issue-name' }, message.slice(0, TITLE))],
  ];
}

/**
 * The letter of its level, with the colour.
 *
 * @param {Issue} issue
 */
export function levelMark({ level }) {
  const color = `var(--${level?.toLowerCase() ?? 'edge'})`;
  return h(
    'span',
    { class: 'issue-level', role: 'img', title: level, 'aria-label': level ?? 'No level', style: { color } },
    level?.charAt(0) ?? '·',
  );
}

/**
 * `NEW` for a day, or `REGRESSED`.
 *
 * @param {Issue} issue
 * @param {string} tz
 */
export function issueBadge(issue, tz) {
  if (issue.regressed && issue.regressed_at) {
    const title = `It was resolved, and occurred again: ${formatTime(issue.regressed_at, tz, 'full')}`;
    return h('span', { class: 'badge regressed', title }, 'REGRESSED');
  }
  const age = serverNow() - Date.parse(issue.first_seen);
  return age < NEW_FOR && issue.state === 'open'
    ? h('span', { class: 'badge', title: 'First seen within 24 hours' }, 'NEW')
    : null;
}

/**
 * What people said about it, in words; empty for an open one.
 *
 * @param {Issue} issue
 * @param {string} tz
 */
export function stateText(issue, tz) {
  if (issue.state === 'resolved') {
    const when = issue.resolved_at ? ` ${formatAgo(issue.resolved_at)}` : '';
    return `Resolved${issue.resolved_in ? ' in the next release' : ''}${when}`;
  }
  if (issue.state === 'ignored') {
    return issue.ignored_until
      ? `Ignored until ${formatTime(issue.ignored_until, tz, 'moment')}`
      : issue.ignored_for
        ? `Ignored for ${formatExact(issue.ignored_for)} more`
        : 'Ignored';
  }
  return '';
}

/**
 * A time as it was long ago, with the time itself as title.
 *
 * @param {string} time
 * @param {string} tz
 */
export function agoText(time, tz) {
  return h('time', { datetime: time, title: `${formatTime(time, tz, 'full')} ${tz}` }, formatAgo(time));
}
