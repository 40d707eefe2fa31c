import { auditRange } from '../audit.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';
import { formatCount, formatDuration, formatExact, formatTime } from '../format.js';
import { menuButton } from '../menu.js';
import { isAdmin } from '../page.js';
import { navigate } from '../state.js';
import { countingLag, exactTo } from './reply.js';

/** Counting that is this far behind is said, in milliseconds. */
const BEHIND = 60_000;

/**
 * How fresh and exact the numbers are, by shape and text.
 *
 * @param {import('./reply.js').Overview} reply
 * @param {string} app
 * @param {import('../page.js').Account} account
 */
export function freshness(reply, app, account) {
  const exact = exactTo(reply);
  const behind = countingLag(reply);
  if (reply.covered) {
    return [coveredNote(reply)];
  }
  const lines = [];
  if (behind > BEHIND) {
    lines.push(note('◐', `Counting is ${formatDuration(behind / 1000)} behind: later columns may grow`));
  } else {
    lines.push(exactMenu(reply, app, account, exact));
  }
  if (reply.names_complete === false) {
    lines.push(note('◐', 'Some names beyond the limit are in (other); totals are exact'));
  }
  if (reply.widened) {
    lines.push(note('◐', 'The range is widened to whole minutes'));
  }
  return lines;
}

/**
 * Where a filter made the server read events, and the budget of one question ended before the range: what is counted, and the way
 * to the rest.
 *
 * @param {import('./reply.js').Overview} reply
 */
function coveredNote({ covered, since, until, total, tz }) {
  const from = covered?.since ?? since;
  const end = Math.min(Date.parse(until), Date.now());
  const part = (end - Date.parse(from)) / (end - Date.parse(since));
  const about = part > 0 ? ` of about ${formatCount(Math.round(total / part))}` : '';
  const line = note('◐', `${formatCount(total)}${about} events: those since ${formatTime(from, tz, 'full')}`);
  const before = h('button', { type: 'button', class: 'quiet' }, 'Show those before');
  before.addEventListener('click', () => navigate({ since, until: from }));
  line.append(before);
  return line;
}

/**
 * @param {string} when the time of the numbers that are shown
 */
export function offlineNote(when) {
  return h('span', { role: 'status' }, note('○', `Showing ${when}. Reconnecting`));
}

/**
 * @param {string} mark
 * @param {string} text
 */
export function note(mark, text) {
  return h('span', { class: 'fresh-note' }, h('i', { 'aria-hidden': 'true' }, mark), text);
}

/**
 * @param {import('./reply.js').Overview} reply
 * @param {string} app
 * @param {import('../page.js').Account} account
 * @param {number} exact
 */
function exactMenu(reply, app, account, exact) {
  const label = `Exact to ${reply.live_from ? 'now' : formatTime(exact, reply.tz, 'second')}`;
  if (!isAdmin(account)) {
    return note('●', label);
  }
  return menuButton({ label: [h('i', { 'aria-hidden': 'true' }, '●'), label], class: 'quiet fresh' }, () =>
    verification(reply, app),
  );
}

/**
 * Compares the counts with the stored events of the days of the range.
 *
 * @param {import('./reply.js').Overview} reply
 * @param {string} app
 */
function verification({ since, until, total }, app) {
  const result = h('p', { class: 'menu-text', role: 'status' }, `Counted ${formatExact(total)} in this range.`);
  const verify = h('button', { type: 'button', on: { click: run } }, 'Verify now');
  return h('div', { class: 'verification' }, result, verify);

  async function run() {
    verify.disabled = true;
    fill(result, 'Reading the events of the range');
    try {
      const end = new Date(Math.min(Date.parse(until), Date.now())).toISOString();
      await auditRange(app, 'audit', { since, until: end }, new AbortController().signal, (found) =>
        fill(result, found.done ? verdict(found) : `${formatExact(found.days)} days are read`),
      );
    } catch (error) {
      fill(result, describe(error));
    } finally {
      verify.disabled = false;
    }
  }
}

/** @param {import('../audit.js').Findings} found */
function verdict({ counted, stored, days, differences, leftOut, complete }) {
  const span = `in ${days === 1 ? 'the whole day' : `${formatExact(days)} whole days`} (UTC) of this range`;
  const wrong = differences.length + leftOut;
  const again = complete ? '' : ' Some counts changed while they were read: verify again.';
  if (counted !== null && stored !== null) {
    const sign = counted === stored ? '=' : '≠';
    return [
      h('strong', null, `counted ${formatExact(counted)} ${sign} stored ${formatExact(stored)}`),
      ` ${span}.${again}`,
    ];
  }
  return wrong === 0
    ? [h('strong', null, 'counted = stored'), ` for each name ${span}.${again}`]
    : [
        h('strong', null, `${formatExact(wrong)} counts differ from what is stored`),
        ` ${span}: ${differences
          .slice(0, 3)
          .map((each) => `${each.name}: counted ${formatExact(each.counted)} ≠ stored ${formatExact(each.stored)}`)
          .join('; ')}.${again}`,
      ];
}
