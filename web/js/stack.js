import { fill, h } from './dom.js';
import { leaf, tree } from './tree.js';

/** Lines of a stack of text, and frames of a stack, that show at once. */
const FEW_LINES = 60;

/** Frames of libraries in a row from which on they are folded. */
const FOLD = 3;

/** @typedef {Record<string, unknown>} Fields */

/** What raises an error: its title and its calls, the innermost first. */
/** @typedef {{ title: string, note: string, frames: unknown[] }} Raised */

/**
 * A stack of an event in its best form: exceptions with their frames, frames alone, text, or any JSON as a tree.
 *
 * @param {unknown} stack
 */
export function stackView(stack) {
  if (typeof stack === 'string') {
    return textStack(stack);
  }
  const raised = raisedOf(stack);
  return raised ? raised.map(raisedView) : tree(stack, null);
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
  if (stack.every((each) => typeof each === 'string' || (isFields(each) && placeOf(each).call))) {
    return [{ title: '', note: '', frames: stack }];
  }
  const all = stack.every((each) => isFields(each) && (Array.isArray(each.frames) || each.type !== undefined));
  return all ? stack.map(toRaised) : null;
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
 */
function raisedView({ title, note, frames }, at) {
  /** @type {HTMLElement[]} */
  const items = [];
  for (let from = 0; from < frames.length; ) {
    const run = frames.slice(from).findIndex(isInApp);
    const foreign = run < 0 ? frames.length - from : run;
    // Without any call of the application, all are of interest.
    if (foreign >= FOLD && frames.some(isInApp)) {
      items.push(foldedFrames(frames.slice(from, from + foreign)));
      from += foreign;
    } else {
      items.push(frameView(frames[from]));
      from += 1;
    }
  }
  return h(
    'div',
    { class: 'raised' },
    title &&
      h('p', { class: 'raised-title' }, at > 0 && h('span', { class: 'muted' }, 'Caused by '), h('bdi', null, title)),
    h('ol', { class: 'frames' }, items),
    note && h('p', { class: 'muted' }, note),
  );
}

/** @param {unknown} frame */
function isInApp(frame) {
  return isFields(frame) && frame.in_app === true;
}

/** @param {unknown[]} frames */
function foldedFrames(frames) {
  const show = h('button', { type: 'button', class: 'quiet' }, `Show ${frames.length} calls of libraries`);
  const item = h('li', null, show);
  show.addEventListener('click', () => item.replaceWith(...frames.map(frameView)));
  return item;
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
  const file = first('filename', 'file', 'abs_path', 'module', 'path');
  const place = [file, first('lineno', 'line', 'line_number'), first('colno', 'column', 'col')];
  return {
    call: first('function', 'method', 'func', 'name', 'filename', 'file', 'module'),
    place: file === undefined ? '' : place.filter((part) => part !== undefined).join(':'),
    code: first('context_line'),
  };
}

/** @param {unknown} frame */
function frameView(frame) {
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
  const lines = text.split('\n', FEW_LINES + 1);
  const cut = lines.length > FEW_LINES;
  const pre = h('pre', { class: 'text-stack', tabindex: '0', role: 'group', 'aria-label': 'Stack' });
  fill(pre, cut ? lines.slice(0, FEW_LINES).join('\n') : text);
  if (!cut) {
    return pre;
  }
  const all = h('button', { type: 'button', class: 'quiet' }, 'Show all lines');
  all.addEventListener('click', () => {
    fill(pre, text);
    all.remove();
  });
  return [pre, all];
}
