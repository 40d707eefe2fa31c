import { appPath, request } from '../api.js';
import { fill, h } from '../dom.js';
import { cutText, timeText } from '../event-row.js';
import { formatExact } from '../format.js';
import { Panel } from '../panel.js';
import { stepsOf, stepText } from './funnel-state.js';
import { lastAsked, readOnButton } from './last-asked.js';
import { coverageNote, sentence, setOptions, showAllowed } from './parts.js';
import { focusRow, peopleKeys, personLink } from './session-row.js';

/** People of a page of the API, and that are drawn at most. */
const PEOPLE_A_PAGE = 100;
const MOST_PEOPLE = 2_000;

/** @typedef {{ user_id?: string, session_id?: string, at: string }} Person */

/** The people at a step of a funnel: who reached it, or who went no further than the one before. */
export function funnelPeople() {
  const panel = new Panel({ what: 'People of this step', class: 'people-panel' });
  const title = h('h2');
  const close = h(
    'button',
    { type: 'button', class: 'quiet icon', title: 'Hide them', 'aria-label': 'Hide them' },
    '✕',
  );
  close.addEventListener('click', () => setOptions({ step: '', left: '' }));
  panel.element.prepend(h('div', { class: 'panel-head' }, title, h('div', { class: 'spacer' }), close));
  panel.element.hidden = true;
  const list = h('ul', { class: 'people-rows', 'aria-label': 'People' });
  const foot = h('div', { class: 'people-foot' });
  const unregister = peopleKeys(list, 'person');
  const asked = lastAsked();
  let shown = 0;
  return {
    element: panel.element,
    update,
    clear,
    close: () => {
      unregister();
      panel.close();
    },
  };

  function clear() {
    asked.begin();
    panel.close();
    panel.element.hidden = true;
  }

  /**
   * @param {import('../state.js').State} state
   * @param {Record<string, unknown>} funnel
   */
  function update(state, funnel) {
    const steps = stepsOf(state);
    const step = Number(state.options.step);
    const left = state.options.left === '1';
    if (!Number.isInteger(step) || step < (left ? 2 : 1) || step > steps.length) {
      clear();
      return;
    }
    const { breakdown: _, ...rest } = funnel;
    const body = JSON.stringify({ ...rest, step, reached: !left, limit: PEOPLE_A_PAGE });
    if (!asked.isNew(body)) {
      return;
    }
    panel.element.hidden = false;
    const of = cutText(stepText(steps[left ? step - 2 : step - 1] ?? []));
    fill(title, left ? 'Went no further than ' : 'Reached ', h('bdi', null, of));
    showAllowed(
      panel,
      (signal) => request('POST', appPath(state.app ?? '', 'funnels', 'people'), { body: JSON.parse(body), signal }),
      (page) => {
        fill(list);
        shown = 0;
        add(page, state, JSON.parse(body));
        return [list, foot];
      },
    );
  }

  /**
   * @param {{ items: Person[], next: string | null } & import('./parts.js').Coverage} page
   * @param {import('../state.js').State} state
   * @param {Record<string, unknown>} body of the request
   */
  function add(page, state, body) {
    list.append(...page.items.map((person) => personRow(person, state)));
    shown += page.items.length;
    list.hidden = shown === 0;
    const further = page.next && shown < MOST_PEOPLE ? page.next : null;
    const button =
      further &&
      readOnButton('Show more', {
        asked,
        class: 'more',
        failed: 'More people',
        load: () =>
          request('POST', appPath(state.app ?? '', 'funnels', 'people'), { body: { ...body, cursor: further } }),
        show: (more, hadFocus) => {
          const count = shown;
          add(more, state, body);
          if (hadFocus) {
            focusRow(list, count);
          }
        },
      });
    fill(
      foot,
      shown === 0 && sentence('Nobody.'),
      button,
      page.next && shown >= MOST_PEOPLE && h('p', null, `The last ${formatExact(shown)} are listed.`),
      coverageNote(page, state),
    );
  }
}

/**
 * @param {Person} person
 * @param {import('../state.js').State} state
 */
function personRow({ user_id: user, session_id: session, at }, state) {
  const id = user ?? session ?? '';
  return h(
    'li',
    { class: 'people-row person-row' },
    personLink(
      user === undefined ? 'session_id' : 'user_id',
      id,
      state,
      { class: 'row-link cut' },
      h('bdi', null, cutText(id)),
      user === undefined && h('span', { class: 'muted' }, ' session'),
    ),
    h('span', { class: 'muted' }, timeText(at, state.tz)),
  );
}
