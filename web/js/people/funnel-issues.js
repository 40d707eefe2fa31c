import { h } from '../dom.js';
import { cutText } from '../event-row.js';
import { formatExact } from '../format.js';
import { stateLink } from '../link.js';

/**
 * An error that people met after a step, and how many of them.
 *
 * @typedef {{ id: string, title: string, people: number }} MetIssue
 * @typedef {{ left: MetIssue[], went_on: MetIssue[] }} StepIssues
 */

/** Errors that a step names. */
const MOST_MET = 5;

/**
 * The errors that those met who left after a step, beside how many met them and went on: one that both met alike kept nobody.
 *
 * @param {StepIssues} issues
 * @param {number} left how many left
 * @param {import('../state.js').State} state
 */
export function stepIssues(issues, left, state) {
  if (issues.left.length === 0) {
    return null;
  }
  const went = new Map(issues.went_on.map(({ id, people }) => [id, people]));
  return h(
    'div',
    { class: 'funnel-issues' },
    h('p', { class: 'muted' }, 'Errors that those met who left after this step:'),
    h(
      'ul',
      { 'aria-label': 'Errors of those who left' },
      issues.left
        .slice(0, MOST_MET)
        .map(({ id, title, people }) =>
          h(
            'li',
            null,
            stateLink(
              { ...state, view: 'errors', filters: [], options: { issue: id } },
              { class: 'funnel-issue cut', title },
              h('bdi', null, cutText(title)),
            ),
            h(
              'span',
              { class: 'muted' },
              `${formatExact(people)} of ${formatExact(left)} who left`,
              went.has(id) && `, ${formatExact(went.get(id) ?? 0)} who went on`,
            ),
          ),
        ),
    ),
  );
}
