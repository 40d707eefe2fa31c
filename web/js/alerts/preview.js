import { appPath, request } from '../api.js';
import { describe } from '../dialog.js';
import { fill, h } from '../dom.js';
import { formatDuration, formatExact, formatTime } from '../format.js';

/** How many days are looked at, and how many times are listed. */
const PREVIEW_DAYS = 7;
const MOST_FIRED = 20;

/**
 * @typedef {{
 *   sentence: string, since: string, until: string, complete: boolean,
 *   would_have_fired: { from: string, to: string | null, value: number, from_none?: true }[],
 * }} Preview
 */

/**
 * The button that tells when a rule would have fired, and what it told.
 *
 * @param {string} app
 * @param {string} tz
 * @param {() => unknown | null} read the rule; null where what was typed is none
 * @param {(error: unknown) => unknown} show shows an error at the fields; the rest is shown here
 */
export function previewPart(app, tz, read, show) {
  const said = h('div', { class: 'preview', role: 'status' });
  const button = h('button', { type: 'button', on: { click } }, 'Preview');
  return { element: h('div', { class: 'preview-part' }, button, said), clear: () => fill(said) };

  async function click() {
    const rule = read();
    if (!rule) {
      return;
    }
    button.disabled = true;
    fill(said, h('p', { class: 'muted' }, `The last ${PREVIEW_DAYS} days are looked at…`));
    try {
      fill(said, previewText(await request('POST', appPath(app, 'alerts', 'preview'), { body: rule }), tz));
    } catch (error) {
      fill(said, h('p', { class: 'failure' }, describe(show(error))));
    } finally {
      button.disabled = false;
    }
  }
}

/**
 * @param {Preview} preview
 * @param {string} tz
 */
function previewText({ sentence, since, complete, would_have_fired: fired }, tz) {
  const times = fired.length === 1 ? 'once' : `${formatExact(fired.length)} times`;
  const newest = fired.slice(-MOST_FIRED).reverse();
  return [
    // Channels are not asked about.
    h('p', { class: 'breaking' }, sentence.replace(/^Tell nobody when/, 'When')),
    h(
      'p',
      null,
      h('strong', null, `Would ${fired.length === 0 ? 'not have fired' : `have fired ${times}`}`),
      complete
        ? ` in the last ${PREVIEW_DAYS} days.`
        : ` since ${formatTime(since, tz, 'full')}, as far as that could be judged.`,
    ),
    newest.length > 0 &&
      h(
        'ol',
        { class: 'fired', 'aria-label': 'When it would have fired' },
        newest.map(({ from, to, value, from_none: fromNone }) =>
          h(
            'li',
            null,
            h('time', { datetime: from }, formatTime(from, tz, 'moment')),
            h(
              'span',
              { class: 'muted' },
              to ? ` for ${formatDuration((Date.parse(to) - Date.parse(from)) / 1000)}` : ' and still',
              ` · at most ${formatExact(value)}${fromNone ? ', and none before' : ''}`,
            ),
          ),
        ),
      ),
    newest.length < fired.length && h('p', { class: 'muted' }, `The newest ${MOST_FIRED}.`),
  ];
}
