import { appPath, get } from './api.js';
import { fill, h } from './dom.js';
import { loadSheet } from './later.js';
import { frameView, stackView } from './stack.js';

/** The part of the page that shows stacks with the original source, by source maps. */

/** @typedef {{ before: string[], line: string, after: string[] }} SourceLines */
/** @typedef {{ source: string, function?: string, line: number, column: number, context?: SourceLines }} OriginalFrame */

/**
 * Shows the stack of an event with what its source maps tell. Without them it stays as it is.
 *
 * @param {HTMLElement} place
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {number} [few]
 */
export async function showOriginal(place, event, few) {
  const loaded = loadSheet('source.css');
  try {
    const { stack, maps } = await get(appPath(String(event.app), 'events', event.id, 'stack'), []);
    await loaded;
    const missing = new Set(maps.missing);
    let isFirst = true;
    fill(
      place,
      stackView(stack, few, (frame) => {
        const item = sourceFrame(frame, missing, isFirst);
        isFirst &&= !frame?.original;
        return item;
      }),
    );
  } catch {
    // The minified stack is shown, and nothing else depends on this.
  }
}

/**
 * @param {any} frame
 * @param {Set<unknown>} missing debug ids without a source map
 * @param {boolean} open whether the lines around show at once
 */
function sourceFrame(frame, missing, open) {
  /** @type {OriginalFrame | undefined} */
  const original = frame?.original;
  if (!original) {
    const item = frameView(frame);
    const note = missing.has(frame?.debug_id) ? 'No source map for this file: upload it with sentry-cli' : frame?.note;
    if (note) {
      item.append(h('p', { class: 'muted source-note' }, String(note)));
    }
    return item;
  }
  const { source, line, column, context } = original;
  const item = frameView({
    function: original.function ?? frame.function,
    filename: source,
    lineno: line,
    colno: column,
    in_app: frame.in_app,
  });
  const lines =
    context && h('details', { class: 'source', open }, h('summary', null, 'Source'), sourceLines(context, line));
  const { original: _, ...minified } = frame;
  const before = h('ol', { class: 'frames', hidden: true }, frameView(minified));
  const toggle = h('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false' }, 'Minified');
  toggle.addEventListener('click', () => {
    before.hidden = !before.hidden;
    toggle.setAttribute('aria-expanded', String(!before.hidden));
  });
  item.append(...[lines, toggle, before].filter((part) => part !== undefined));
  return item;
}

/**
 * @param {SourceLines} context
 * @param {number} line
 */
function sourceLines({ before, line: text, after }, line) {
  const first = line - before.length;
  return h(
    'pre',
    { class: 'code', tabindex: '0', role: 'group', 'aria-label': `Source around line ${line}` },
    [...before, text, ...after].map((each, at) => {
      const number = first + at;
      const attributes =
        number === line ? { class: 'source-line marked', 'aria-current': 'true' } : { class: 'source-line' };
      return h('span', attributes, h('span', { class: 'muted' }, `${number} `.padStart(6)), each, '\n');
    }),
  );
}
