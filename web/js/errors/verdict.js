import { appPath, request } from '../api.js';
import { describe, notify } from '../dialog.js';
import { h } from '../dom.js';
import { formatExact } from '../format.js';
import { menuButton } from '../menu.js';
import { RequestQueue } from '../request-queue.js';

/**
 * What people say about issues: resolves, ignores and opens them, and takes it back.
 *
 * @typedef {import('./issue.js').Issue} Issue
 * @typedef {{ state: Issue['state'], resolved_in?: string | null, ignore_until?: string | number | null }} Verdict as the API
 *   takes it
 */

/** Requests at a time, and seconds in which a change can be undone. */
const PATCHES_AT_ONCE = 6;
const UNDO = 8;

/** @typedef {{ label: string, done: string, verdict: Verdict, when: (issue: Issue) => boolean }} Choice */

/** @type {Choice[]} */
const CHOICES = [
  { label: 'Resolve', done: 'Resolved', verdict: { state: 'resolved' }, when: ({ state }) => state !== 'resolved' },
  {
    label: 'Resolve in the next release',
    done: 'Resolved in the next release:',
    verdict: { state: 'resolved', resolved_in: 'next release' },
    when: ({ state }) => state !== 'resolved',
  },
  {
    label: 'Ignore for 1 h',
    done: 'Ignored for 1 h:',
    verdict: { state: 'ignored', ignore_until: '1h' },
    when: () => true,
  },
  {
    label: 'Ignore until 100 more',
    done: 'Ignored until 100 more:',
    verdict: { state: 'ignored', ignore_until: 100 },
    when: () => true,
  },
  { label: 'Ignore', done: 'Ignored', verdict: { state: 'ignored' }, when: () => true },
  { label: 'Open again', done: 'Opened', verdict: { state: 'open' }, when: ({ state }) => state !== 'open' },
];

/**
 * The button of one issue or of several.
 *
 * @param {() => Issue[]} issues asked when it opens
 * @param {(issues: Issue[], choice: Choice) => void} choose
 * @param {{ of?: string, class?: string, align?: 'left' | 'right' }} [options] `of` names the issues for those who do not see where the button stands
 */
export function verdictMenu(issues, choose, { of = '', class: name = '', align = 'right' } = {}) {
  const label = [h('span', { class: 'verdict-word' }, 'Resolve '), '▾'];
  const holder = menuButton({ label, align, class: name }, (close) => {
    const all = issues();
    return CHOICES.filter(({ when }) => all.some(when)).map((choice) => {
      const click = () => {
        close();
        choose(all, choice);
      };
      return h('button', { type: 'button', class: 'menu-item quiet', on: { click } }, choice.label);
    });
  });
  holder.firstElementChild?.setAttribute('aria-label', `Resolve${of && ` ${of}`}`);
  return holder;
}

/**
 * Changes issues, and offers to undo it for a few seconds. Each issue is changed as soon as its request has succeeded.
 *
 * @param {string} app
 * @param {Issue[]} issues
 * @param {Choice} choice
 * @param {(changed: Issue[]) => void} changed called with issues whose state is another now
 */
export async function judge(app, issues, { done, verdict }, changed) {
  const before = issues.map((issue) => ({ issue, verdict: verdictOf(issue) }));
  const { good, failure } = await send(
    app,
    issues.map((issue) => ({ issue, verdict })),
    changed,
  );
  const text = [
    good.length > 0 && `${done} ${countText(good.length)}.`,
    failure && `${formatExact(issues.length - good.length)} could not be changed: ${failure}`,
  ];
  const undo = () => take(before.filter(({ issue }) => good.includes(issue)));
  notify(text.filter(Boolean).join(' '), good.length > 0 ? { action: 'Undo', run: undo, seconds: UNDO } : undefined);

  /** @param {{ issue: Issue, verdict: Verdict }[]} old */
  async function take(old) {
    const back = await send(app, old, changed);
    const failed = old.length - back.good.length;
    notify(failed ? `${formatExact(failed)} could not be changed back: ${back.failure}` : 'Undone.');
  }
}

/** @param {number} count */
export function countText(count) {
  return count === 1 ? '1 error' : `${formatExact(count)} errors`;
}

/**
 * The change that brings an issue back to how it is now.
 *
 * @param {Issue} issue
 * @returns {Verdict}
 */
function verdictOf({ state, resolved_in: release, ignored_until: time, ignored_for: times }) {
  if (state === 'resolved') {
    return { state, resolved_in: release };
  }
  return state === 'ignored' ? { state, ignore_until: time ?? times } : { state };
}

/**
 * @param {string} app
 * @param {{ issue: Issue, verdict: Verdict }[]} changes
 * @param {(changed: Issue[]) => void} changed
 */
async function send(app, changes, changed) {
  const queue = new RequestQueue(PATCHES_AT_ONCE);
  /** @type {Issue[]} */
  const good = [];
  let failure = '';
  await Promise.all(
    changes.map(
      ({ issue, verdict }) =>
        new Promise((resolve) => {
          queue.add(issue.id, async () => {
            try {
              const state = await request('PATCH', appPath(app, 'issues', issue.id), { body: verdict });
              Object.assign(issue, state);
              good.push(issue);
              changed([issue]);
            } catch (error) {
              failure = describe(error);
            }
            resolve(null);
          });
        }),
    ),
  );
  return { good, failure };
}

/** Undoes the latest change, while it is offered. */
export function undoLast() {
  const offered = [...document.querySelectorAll('.note button')].at(-1);
  if (offered instanceof HTMLElement) {
    offered.click();
  }
}

/** @param {string} label */
export function choiceOf(label) {
  return /** @type {Choice} */ (CHOICES.find((each) => each.label === label));
}
