import { fill, h } from './dom.js';
import { formatCount, formatTime } from './format.js';
import { currentState, SEARCH } from './state.js';

/** Says how far a search through events has come. */

/** @typedef {import('./event-pages.js').Progress} Progress */

/**
 * How far a search looked, as `Searched 41,200 events back to 12 Nov, 10:31 · 3 found`.
 *
 * @param {Progress} progress
 * @param {number} count the events found in all
 */
export function searchText({ reached, scanned, descends }, count) {
  const { tz } = currentState();
  const through = scanned === null ? '' : ` ${formatCount(scanned)} events`;
  const to = reached === null ? '' : ` ${descends ? 'back' : 'up'} to ${formatTime(reached, tz, 'moment')}`;
  return `Searched${through}${to} · ${count === 0 ? 'nothing found yet' : `${formatCount(count)} found`}`;
}

/** @param {import('./state.js').Filter} filter */
function isUnindexed({ field }) {
  return field === 'user_id' || field === SEARCH || field.startsWith('attr.');
}

/**
 * The line below a list of events.
 *
 * @param {() => void} further searches on
 */
export function searchNote(further) {
  const text = h('span', { role: 'status', 'aria-live': 'polite' });
  const button = h('button', { type: 'button', class: 'quiet', hidden: true, on: { click: further } });
  const element = h('div', { class: 'search-note' }, text, button);
  const note = { element, waits: false, show, clear, fail };
  let failed = false;
  return note;

  /**
   * @param {Progress} progress
   * @param {number} count the rows of the list
   * @param {boolean} busy
   * @param {number} [hidden] events that came in and are not shown
   */
  function show(progress, count, busy, hidden = 0) {
    // Where no index serves, or a page was short although more follows, how far it looked is part of the answer.
    const searched = progress.requests > 1 || (note.waits && !failed) || currentState().filters.some(isUnindexed);
    failed = false;
    note.waits = !busy && !progress.ended && progress.requests > 1 && progress.found < 50;
    offer('Search further', note.waits);
    if (progress.ended && count === 0) {
      set('');
    } else if (progress.ended) {
      set(
        `${formatCount(count)} ${count === 1 ? 'event' : 'events'}, ${hidden > 0 ? `${formatCount(hidden)} more not shown` : 'that is all'}`,
      );
    } else if (searched) {
      set(`${searchText(progress, count)}${busy ? '. Searching' : note.waits ? '' : ', more below'}`);
    } else {
      set(`${formatCount(count)} events read${busy ? '. Reading' : ', more below'}`);
    }
  }

  function clear() {
    note.waits = false;
    offer('', false);
    set('');
  }

  /** @param {string} problem */
  function fail(problem) {
    note.waits = true;
    failed = true;
    set(problem);
    offer('Retry', true);
  }

  /** @param {string} words */
  function set(words) {
    if (text.textContent !== words) {
      fill(text, words);
    }
  }

  /**
   * @param {string} label
   * @param {boolean} visible
   */
  function offer(label, visible) {
    fill(button, visible && label);
    button.hidden = !visible;
  }
}
