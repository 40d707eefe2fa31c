import { changeText } from '../change.js';
import { h } from '../dom.js';
import { formatAgo, formatShare, formatTime } from '../format.js';
import { stateLink } from '../link.js';
import { sparkline } from '../sparkline.js';
import { currentState } from '../state.js';
import { numberText } from '../value.js';
import { errorsOf } from './reply.js';

/** Up to so many users or sessions are counted exactly. */
const EXACT_PEOPLE = 380;

/**
 * The cards: value, change and line of each.
 *
 * @param {import('./reply.js').Overview} reply
 */
export function overviewCards(reply) {
  const { total, errors, names, series, previous, last_event_at: last, tz } = reply;
  const counts = series.map(({ count }) => count);
  const share = total > 0 ? formatShare(errors / total) : null;
  return [
    card('Events', numberText(total), changeText(total, previous?.total), sparkline(counts, 'Events over time')),
    card(
      ['Errors', share && h('span', { class: 'muted' }, ` ${share} of all`)],
      numberText(errors),
      changeText(errors, previous?.errors, { errors: true }),
      sparkline(series.map(errorsOf), 'Errors over time'),
    ),
    card(
      'Distinct names',
      numberText(names.distinct),
      changeText(names.distinct, previous && names.previous),
      sparkline(
        series.map((bucket) => bucket.names ?? 0),
        'Names over time',
      ),
    ),
    estimate(['Users', 'users'], reply.users, reply.people, previous?.users),
    estimate(['Sessions', ''], reply.sessions, reply.people, previous?.sessions),
    card(
      'Last event',
      h(
        'span',
        { class: 'card-time', title: last ? formatTime(last, tz, 'full') : null },
        last ? formatAgo(last) : 'none',
      ),
      last && h('span', { class: 'change card-clock' }, formatTime(last, tz, 'second')),
    ),
  ];
}

/**
 * @param {import('../dom.js').Child} label
 * @param {import('../dom.js').Child} value
 * @param {import('../dom.js').Child} [change]
 * @param {import('../dom.js').Child} [line]
 */
function card(label, value, change, line) {
  return h(
    'div',
    { class: 'panel card' },
    h('div', null, h('h2', { class: 'cut' }, label), change),
    h('div', null, h('div', { class: 'card-value' }, value), line),
  );
}

/**
 * Distinct people. With a filter the overview does not know them, and there is no card.
 *
 * @param {[string, string]} labels what it counts, and the tab of the page about people, where the card leads
 * @param {number | null | undefined} count
 * @param {import('./reply.js').CountOfPeople | undefined} people how exact that is
 * @param {number | null | undefined} before
 */
function estimate([label, tab], count, people, before) {
  if (count === null || count === undefined) {
    return null;
  }
  const notes = [
    count > EXACT_PEOPLE && 'Within 3.3 %',
    people?.widened && 'Of the whole hours in which the range begins and ends, since they have too many events',
    people?.complete === false && 'Some may be missing, or erased',
  ].filter(Boolean);
  const about = notes.length > 0 && h('span', { class: 'muted card-note', title: notes.join('. ') }, ' ≈');
  const link = stateLink({ ...currentState(), view: 'people', options: { tab } }, { class: 'card-link' }, label);
  return card(link, [numberText(count), about], changeText(count, before));
}
