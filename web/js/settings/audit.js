import { auditRange } from '../audit.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';
import { field, input } from '../form.js';
import { formatExact } from '../format.js';
import { cut, listTable, numberCell, tabHead } from './list.js';

/** Rows of differences that are drawn. */
const MAX_DIFFERENCES = 500;

/**
 * Compares counts with stored events, and corrects them.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function auditTab({ app }) {
  /** @type {AbortController | null} */
  let running = null;
  const status = h('div', { role: 'status', class: 'audit-status' });
  const results = h('div');
  const audit = h('button', { type: 'submit', class: 'primary', value: 'audit' }, 'Audit');
  const recount = h('button', { type: 'submit', value: 'recount' }, 'Recount');
  const stop = h('button', { type: 'button', hidden: true, on: { click: () => running?.abort() } }, 'Stop');
  const form = h(
    'form',
    { class: 'audit-form', on: { submit } },
    field('From day', input('since', { type: 'date' })),
    field('To day', input('until', { type: 'date' })),
    h('div', { class: 'buttons' }, audit, recount, stop),
  );
  const element = h(
    'section',
    { class: 'panel', 'aria-label': 'Audit and recount' },
    h(
      'div',
      { class: 'panel-body' },
      tabHead(
        'Audit and recount',
        'An audit compares the counts of whole UTC days with the stored events. A recount also corrects them. Without days: all that are kept.',
      ),
      form,
      status,
      results,
    ),
  );
  return { element, close: () => running?.abort() };

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const kind = event.submitter === recount ? 'recount' : 'audit';
    const controller = new AbortController();
    const what = kind === 'audit' ? 'Audit' : 'Recount';
    running = controller;
    setRunning(true);
    fill(results);
    fill(status, h('progress', { 'aria-label': what }), ` ${what} is running: no day is done yet.`);
    try {
      await auditRange(app ?? '', kind, rangeOf(new FormData(form)), controller.signal, (found) => {
        fill(status, found.done ? null : h('progress', { 'aria-label': what }), summary(what, found));
        fill(results, differences(found));
      });
    } catch (error) {
      fill(status, h('span', { class: controller.signal.aborted ? '' : 'failure' }, stopReason(controller, error)));
    } finally {
      setRunning(false);
    }
  }

  /** @param {boolean} on */
  function setRunning(on) {
    audit.disabled = on;
    recount.disabled = on;
    stop.hidden = !on;
  }
}

/**
 * @param {AbortController} controller
 * @param {unknown} error
 */
function stopReason(controller, error) {
  return controller.signal.aborted ? 'Stopped. What is listed was found until then.' : describe(error);
}

/**
 * The whole days that were typed: the API takes the end exclusively.
 *
 * @param {FormData} data
 */
function rangeOf(data) {
  const since = String(data.get('since'));
  const until = String(data.get('until'));
  const end = until ? new Date(Date.parse(`${until}T00:00:00Z`) + 86_400_000).toISOString() : undefined;
  return { ...(since ? { since: `${since}T00:00:00Z` } : {}), ...(end ? { until: end } : {}) };
}

/**
 * @param {string} what
 * @param {import('../audit.js').Findings} found
 */
function summary(what, { days, differences: list, leftOut, counted, stored, complete, done }) {
  const checked = `${formatExact(days)} ${days === 1 ? 'day' : 'days'} checked`;
  const differing = list.length + leftOut;
  if (!done) {
    return ` ${checked}, ${formatExact(differing)} differences until now.`;
  }
  const corrected = what === 'Recount' && differing > 0 ? ' They are corrected.' : '';
  const totals =
    counted === null || stored === null
      ? ''
      : `counted ${formatExact(counted)} ${counted === stored ? '=' : '≠'} stored ${formatExact(stored)} · `;
  const again = complete ? '' : ' Some counts changed at every look: run it again when fewer events arrive.';
  const mark = differing === 0 && complete ? '● ' : '◐ ';
  const result = differing === 0 ? 'no differences.' : `${formatExact(differing)} differences.`;
  return `${mark}${totals}${checked}, ${result}${corrected}${again}`;
}

/** @param {import('../audit.js').Findings} found */
function differences({ differences: list, leftOut }) {
  if (list.length === 0) {
    return null;
  }
  const hidden = list.length - Math.min(list.length, MAX_DIFFERENCES) + leftOut;
  return [
    listTable(
      'Differences',
      ['Day', 'Name', 'Slug', 'Category', 'Level', 'Counted', 'Stored'],
      list
        .slice(0, MAX_DIFFERENCES)
        .map((each) => [
          h('time', null, each.day),
          cut(each.name ?? (each.message_hash ? `Message ${each.message_hash}` : '')),
          cut(each.slug ?? ''),
          cut(each.category ?? ''),
          each.level ?? '',
          numberCell(each.counted),
          numberCell(each.stored),
        ]),
      '',
    ),
    hidden > 0 ? h('p', { class: 'muted' }, `${formatExact(hidden)} more are not listed.`) : null,
  ];
}
