import { appPath, get, request } from './api.js';
import { copyBlock } from './copy-block.js';
import { describe, notify } from './dialog.js';
import { fill, h } from './dom.js';
import { emptyKeys } from './empty-keys.js';
import { baseUrl } from './link.js';
import { isAdmin } from './page.js';
import { WAYS } from './ways.js';

/** Milliseconds between two looks for the first event. */
const LOOK = 2000;

/**
 * What an app without any event shows: how to send the first one, and a light that turns when it arrives.
 *
 * @param {import('./state.js').State} state
 * @param {import('./page.js').Account} account
 * @param {() => void} arrived called when the light has been on for a moment: there is something to show
 * @returns {{ element: HTMLElement, close: () => void }}
 */
export function emptyState(state, account, arrived) {
  const app = state.app ?? '';
  const light = h('p', { class: 'light', role: 'status' }, 'Waiting for the first event');
  const keyLine = h('div', { class: 'buttons' });
  const tabs = h('div', {
    class: 'ways',
    role: 'tablist',
    'aria-label': 'Ways to send events',
    on: { keydown: moveTab },
  });
  const way = h('div', { class: 'way', role: 'tabpanel' });
  let chosen = 0;
  let timer = 0;
  let closed = false;
  if (account.kind === 'user') {
    showKey();
    showWays();
    document.addEventListener('visibilitychange', look);
    timer = setTimeout(look, LOOK);
  }
  return { element: h('section', { class: 'panel first-event', 'aria-label': 'First event' }, content()), close };

  function content() {
    return account.kind === 'user'
      ? [h('h2', null, 'Send the first event'), light, keyLine, tabs, way]
      : h('p', { class: 'nothing' }, 'No events yet.');
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
  }

  function showKey() {
    if (emptyKeys.has(app)) {
      fill(
        keyLine,
        h('p', { class: 'muted' }, 'The key below is filled in. It is not shown again once this page is closed.'),
      );
    } else if (isAdmin(account)) {
      fill(
        keyLine,
        h('button', { type: 'button', class: 'primary', on: { click: makeKey } }, 'Create an ingest key'),
        h('span', { class: 'muted' }, 'Keys are stored hashed, so an older one cannot be filled in.'),
      );
    } else {
      fill(keyLine, h('p', { class: 'muted' }, 'Ask an admin for an ingest key of this app.'));
    }
  }

  async function makeKey() {
    try {
      const body = { scopes: ['ingest'], label: 'First event' };
      emptyKeys.set(app, (await request('POST', appPath(app, 'keys'), { body })).key);
      showKey();
      showWays();
    } catch (error) {
      notify(describe(error));
    }
  }

  function showWays() {
    fill(tabs, WAYS.map(wayTab));
    const { title, text, code } = /** @type {import('./ways.js').Way} */ (WAYS[chosen]);
    const { host, pathname, protocol } = new URL(baseUrl());
    const key = emptyKeys.get(app) ?? 'tly_in_…';
    const place = { url: baseUrl().slice(0, -1), host: host + pathname.slice(0, -1), scheme: protocol, app, key };
    way.setAttribute('aria-label', title);
    fill(way, h('p', null, text), copyBlock(title, code(place).join('\n')));
  }

  /**
   * @param {import('./ways.js').Way} each
   * @param {number} index
   */
  function wayTab({ title }, index) {
    const selected = index === chosen;
    return h(
      'button',
      {
        type: 'button',
        role: 'tab',
        'aria-selected': String(selected),
        tabindex: selected ? '0' : '-1',
        on: { click: () => choose(index) },
      },
      title,
    );
  }

  /** @param {number} index */
  function choose(index) {
    chosen = (index + WAYS.length) % WAYS.length;
    showWays();
    /** @type {HTMLElement | null} */ (tabs.querySelector('[aria-selected="true"]'))?.focus();
  }

  /** @param {KeyboardEvent} event */
  function moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      choose(chosen + step);
    }
  }

  async function look() {
    clearTimeout(timer);
    if (closed || document.hidden) {
      return;
    }
    try {
      const { items } = await get(appPath(app, 'events'), [['limit', '1']]);
      if (items.length > 0) {
        turnOn(items[0].name);
        return;
      }
    } catch {
      // The next look may succeed.
    }
    if (!closed) {
      timer = setTimeout(look, LOOK);
    }
  }

  /** @param {string} name */
  function turnOn(name) {
    light.classList.add('on');
    fill(light, h('span', null, 'The first event has arrived: ', h('strong', { class: 'breaking' }, name)));
    timer = setTimeout(show, LOOK);

    /** Again until this is closed: counts may be behind. */
    function show() {
      arrived();
      timer = setTimeout(show, 5 * LOOK);
    }
  }
}
