import { fill, h } from './dom.js';
import { leaf, tree } from './tree.js';

/** Lines and characters of a stack of text that show at once. */
const FEW_LINES = 60;
const FEW_CHARACTERS = 20_000;

/** Calls of a stack, and exceptions, that show at once. */
const FEW_CALLS = 100;

/** Frames of libraries in a row from which on they are folded. */
const FOLD = 3;

/** @typedef {Record<string, unknown>} Fields */

/** What raises an error: its title and its calls, the innermost first. */
/** @typedef {{ title: string, note: string, frames: unknown[] }} Raised */

/** @typedef {(frame: any) => HTMLElement} FrameView what shows a frame */

/**
 * A stack of an event in its best form: exceptions with their frames, frames alone, text, or any JSON as a tree.
 *
 * @param {unknown} stack
 * @param {number} [few] frames of libraries in a row from which on they are folded; 1 shows those of the app alone
 * @param {FrameView} [view]
 */
export function stackView(stack, few = FOLD, view = frameView) {
  if (typeof stack === 'string') {
    return textStack(stack);
  }
  const raised = raisedOf(stack);
  return raised && raised.length <= FEW_CALLS
    ? raised.map((each, at) => raisedView(each, at, few, view))
    : tree(stack, null);
}

/**
 * The stack of an event. Where a frame has a debug id, its original source takes the place of it as soon as it is read.
 *
 * @param {import('./event-fields.js').TallyEvent} event
 * @param {number} [few]
 */
export function eventStack(event, few) {
  const place = h('div', null, stackView(event.stack, few));
  if (JSON.stringify(event.stack).includes('"debug_id":')) {
    import('./source.js').then(({ showOriginal }) => showOriginal(place, event, few));
  }
  return place;
}

/**
 * @param {unknown} value
 * @returns {value is Fields}
 */
function isFields(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * What was raised, as the client libraries leave it (docs/clients.md), or frames alone.
 *
 * @param {unknown} stack
 * @returns {Raised[] | null} null where it is neither
 */
function raisedOf(stack) {
  if (isFields(stack)) {
    return raisedOf([stack]);
  }
  if (!Array.isArray(stack) || stack.length === 0) {
    return null;
  }
  if (stack.every(isException)) {
    return stack.map(toRaised);
  }
  return stack.every(isCall) ? [{ title: '', note: '', frames: stack }] : null;
}

/** @param {unknown} value */
function isException(value) {
  return isFields(value) && (Array.isArray(value.frames) || (value.type !== undefined && value.function === undefined));
}

/** @param {unknown} value */
function isCall(value) {
  return (
    typeof value === 'string' || (isFields(value) && (value.function !== undefined || placeOf(value).place !== ''))
  );
}

/** @param {Fields} exception */
function toRaised(exception) {
  const title = [exception.type, exception.value].filter((part) => part !== undefined && part !== '').map(String);
  const frames = Array.isArray(exception.frames) ? exception.frames : [];
  return { title: title.join(': '), note: String(exception.omitted ?? ''), frames };
}

/**
 * @param {Raised} raised
 * @param {number} at
 * @param {number} few
 * @param {FrameView} view
 */
function raisedView({ title, note, frames }, at, few, view) {
  const fold = frames.some(isInApp) ? few : Infinity;
  const list = h('ol', { class: 'frames' }, frameItems(frames.slice(0, FEW_CALLS), fold, view));
  if (frames.length > FEW_CALLS) {
    const rest = frames.slice(FEW_CALLS);
    list.append(later(`Show ${rest.length} more calls`, () => frameItems(rest, fold, view)));
  }
  return h(
    'div',
    { class: 'raised' },
    title &&
      h('p', { class: 'raised-title' }, at > 0 && h('span', { class: 'muted' }, 'Caused by '), h('bdi', null, title)),
    list,
    note && h('p', { class: 'muted' }, note),
  );
}

/**
 * The calls of a stack. Several of libraries in a row are folded, unless there are no others;
 * the innermost always shows, unless each is folded.
 *
 * @param {unknown[]} frames
 * @param {number} fold
 * @param {FrameView} view
 */
function frameItems(frames, fold, view) {
  /** @type {HTMLElement[]} */
  const items = [];
  for (let from = 0; from < frames.length; ) {
    let end = from;
    while (end < frames.length && !isInApp(frames[end])) {
      end += 1;
    }
    const foreign = frames.slice(from, end);
    if (foreign.length >= fold && (from > 0 || fold === 1)) {
      items.push(
        later(`Show ${foreign.length} ${foreign.length > 1 ? 'calls' : 'call'} of libraries`, () => foreign.map(view)),
      );
      from = end;
    } else {
      items.push(view(frames[from]));
      from += 1;
    }
  }
  return items;
}

/**
 * A button in place of items, which it shows.
 *
 * @param {string} label
 * @param {() => HTMLElement[]} items
 */
function later(label, items) {
  const show = h('button', { type: 'button', class: 'quiet' }, label);
  const item = h('li', null, show);
  show.addEventListener('click', () => item.replaceWith(...items()));
  return item;
}

/** @param {unknown} frame */
function isInApp(frame) {
  return isFields(frame) && frame.in_app === true;
}

/**
 * Where a frame is. Client libraries have names of their own for the same.
 *
 * @param {Fields} frame
 */
function placeOf(frame) {
  /** @param {string[]} names */
  const first = (...names) =>
    names.map((name) => frame[name]).find((value) => typeof value === 'string' || typeof value === 'number');
  const file = first('filename', 'file', 'abs_path', 'module');
  const place = [file, first('lineno', 'line', 'line_number'), first('colno', 'column', 'col')];
  return {
    call: first('function', 'method', 'func', 'name', 'filename', 'file', 'module'),
    place: file === undefined ? '' : place.filter((part) => part !== undefined).join(':'),
    code: first('context_line'),
  };
}

/** @param {unknown} frame */
export function frameView(frame) {
  if (!isFields(frame)) {
    return h('li', { class: 'frame' }, leaf(frame, null));
  }
  const { call, place, code } = placeOf(frame);
  const button = h(
    'button',
    { type: 'button', class: 'branch', 'aria-expanded': 'false', on: { click: toggle } },
    h('bdi', { class: 'call' }, String(call ?? '?')),
    h('bdi', { class: 'muted' }, place),
  );
  const item = h('li', { class: `frame ${isInApp(frame) ? 'in-app' : ''}` }, button);
  if (isInApp(frame) && code !== undefined) {
    item.append(h('pre', { class: 'code' }, String(code).trim()));
  }
  return item;

  function toggle() {
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) {
      item.lastChild?.remove();
    } else {
      item.append(tree(frame, null, 1));
    }
  }
}

/** @param {string} text */
function textStack(text) {
  const start = text.split('\n', FEW_LINES).join('\n').slice(0, FEW_CHARACTERS);
  const cut = start.length < text.length;
  const pre = h('pre', { class: 'text-stack', tabindex: '0', role: 'group', 'aria-label': 'Stack' });
  fill(pre, start);
  if (!cut) {
    return pre;
  }
  const all = h('button', { type: 'button', class: 'quiet' }, `Show all ${text.length} characters`);
  all.addEventListener('click', () => {
    fill(pre, text);
    all.remove();
  });
  return [pre, all];
}
