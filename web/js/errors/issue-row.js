import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { stateLink } from '../link.js';
import { numberText } from '../value.js';
import { bars } from './bars.js';
import { agoText, issueBadge, issueText, issueTitle, levelMark, stateText } from './issue.js';

/**
 * One issue: a row of 56 px.
 *
 * @param {import('./issue.js').Issue} issue
 * @param {{
 *   state: import('../state.js').State,
 *   selected: boolean,
 *   select: ((event: MouseEvent) => void) | null,
 *   menu: HTMLElement | null,
 * }} options `select` hears the click on the checkbox; null where nothing can be changed
 */
export function issueRow(issue, { state, selected, select, menu }) {
  const text = issueText(issue);
  const release = issue.releases.at(-1);
  const said = stateText(issue, state.tz);
  const box = h('input', { type: 'checkbox', class: 'issue-check', 'aria-label': `Select ${text.slice(0, 200)}` });
  box.checked = selected;
  box.addEventListener('click', (event) => select?.(event));
  const link = stateLink(
    { ...state, options: { ...state.options, issue: issue.id } },
    { class: 'issue-link cut', title: text },
    issueTitle(issue),
  );
  return h(
    'li',
    { class: 'issue', dataset: { id: issue.id, level: issue.level ?? '' } },
    select && h('label', { class: 'issue-box' }, box),
    h(
      'div',
      { class: 'issue-text' },
      h('div', { class: 'issue-line' }, levelMark(issue), issueBadge(issue, state.tz), link),
      h(
        'div',
        { class: 'issue-line muted' },
        said && h('span', { class: 'issue-said cut' }, said),
        h('bdi', { class: 'mono cut', title: issue.place }, issue.place),
      ),
    ),
    h('div', { class: 'issue-bars' }, bars(issue.series, `Over the range: ${formatExact(issue.count)} in all`)),
    h(
      'div',
      { class: 'issue-count' },
      numberText(issue.count),
      h('span', { class: 'hidden-text' }, issue.count === 1 ? ' event' : ' events'),
    ),
    h('div', { class: 'issue-last' }, h('span', { class: 'hidden-text' }, 'last '), agoText(issue.last_seen, state.tz)),
    h(
      'div',
      { class: 'issue-first' },
      h('span', { class: 'hidden-text' }, 'first '),
      agoText(issue.first_seen, state.tz),
    ),
    h('bdi', { class: 'issue-release cut', title: release }, release),
    menu,
  );
}
