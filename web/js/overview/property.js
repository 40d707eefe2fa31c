import { attributesOf } from '../attributes.js';
import { describe, notify } from '../dialog.js';
import { fill, h } from '../dom.js';
import { formatCount } from '../format.js';
import { currentState, navigate } from '../state.js';
import { listPanel } from './list-panel.js';
import { listParams, propertyList, withPrevious } from './lists.js';
import { overviewParams } from './reply.js';

const ROWS = 10;

/**
 * The table of one property of `data`, with a picker of the paths seen. Its counts are read from events, so it asks for them only
 * once it is on the screen. Where the server lists no paths it is hidden.
 *
 * @param {import('../page.js').Account} account
 */
export function propertyPanel(account) {
  const select = h('select', { 'aria-label': 'Property', on: { change: choose } });
  const {
    panel,
    update: updateList,
    fillNow,
  } = listPanel(listOf, { id: 'property', title: 'Property', account, extra: select });
  panel.element.hidden = true;
  /** @type {import('./reply.js').Overview | null} */
  let reply = null;
  let visible = false;
  /** The question that the table answers. */
  let shown = '';
  /** @type {import('./reply.js').Overview | null} */
  let drawn = null;
  /** @type {import('../attributes.js').Attribute[] | null} */
  let paths = null;
  // A hidden element is never on the screen, so what is watched is a line of no height where the table would be.
  const sentinel = h('div', { class: 'sentinel' });
  const observer = new IntersectionObserver((entries) => {
    visible = entries.at(-1)?.isIntersecting ?? false;
    if (visible) {
      load();
    }
  });
  observer.observe(sentinel);
  return {
    elements: [panel.element, sentinel],
    update,
    close: () => {
      observer.disconnect();
      panel.close();
    },
  };

  /** @param {import('./reply.js').Overview} next */
  function update(next) {
    reply = next;
    if (visible || currentState().options.all === 'property') {
      load();
    }
  }

  function path() {
    const first = paths?.find(({ kind }) => kind === 'string') ?? paths?.[0];
    return currentState().options.property || first?.path || '';
  }

  function listOf() {
    return path() ? propertyList(path()) : null;
  }

  function choose() {
    navigate({ options: { ...currentState().options, property: select.value } }, { replace: true });
  }

  async function load() {
    const state = currentState();
    if (!reply || !state.app) {
      return;
    }
    // Where the paths cannot be read, one that stands in the URL is still shown.
    paths ??= await attributesOf(state.app).catch(() => null);
    const list = listOf();
    panel.element.hidden = !list;
    if (!list || !reply) {
      return;
    }
    const chosen = path();
    const known = (paths ?? []).map((each) => each.path);
    fill(
      select,
      (known.includes(chosen) ? known : [chosen, ...known]).map((each) =>
        h('option', { value: each, selected: each === chosen }, each),
      ),
    );
    updateList(reply, state);
    const question = JSON.stringify([chosen, overviewParams(state)]);
    const again = question === shown;
    if (state.options.all === 'property') {
      shown = '';
    } else if (!again || reply !== drawn) {
      shown = question;
      drawn = reply;
      panel.show(
        (signal) => read(list, /** @type {any} */ (reply), state, signal),
        (page) => draw(list, page),
        again,
      );
    }
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {import('./reply.js').Overview} now
   * @param {import('../state.js').State} state
   * @param {AbortSignal} signal
   */
  async function read(list, now, state, signal) {
    const app = state.app ?? '';
    const [page, before] = await Promise.all([
      list.page(app, listParams(now, state), ROWS, signal),
      now.previous ? list.page(app, listParams(now.previous, state), 1000, signal) : null,
    ]);
    return { ...page, rows: withPrevious(page.rows, before) };
  }

  /**
   * @param {import('./lists.js').List} list
   * @param {import('./lists.js').RowPage} page
   */
  function draw(list, page) {
    fillNow(list, page.rows.slice(0, ROWS), partial(list, page));
    return undefined;
  }

  /**
   * Says that not all events could be read, and reads on.
   *
   * @param {import('./lists.js').List} list
   * @param {import('./lists.js').RowPage} page
   */
  function partial(list, page) {
    const { rows, coveredSince } = page;
    if (!coveredSince || !reply) {
      return null;
    }
    const seen = rows.reduce((sum, { count }) => sum + count, 0);
    const { since, total } = reply;
    const go = async () => {
      const state = currentState();
      const older = await list.page(state.app ?? '', listParams({ since, until: coveredSince }, state), 1000);
      draw(list, { ...older, rows: merge(rows, older.rows) });
    };
    return h(
      'p',
      { class: 'empty-rows' },
      `◐ From ${formatCount(seen)} of about ${formatCount(total)} events · `,
      h(
        'button',
        { type: 'button', class: 'quiet link', on: { click: () => go().catch((error) => notify(describe(error))) } },
        'Continue',
      ),
    );
  }
}

/**
 * @param {import('./lists.js').Row[]} rows
 * @param {import('./lists.js').Row[]} more
 */
function merge(rows, more) {
  const all = new Map(rows.map((row) => [row.value, row]));
  for (const row of more) {
    const same = all.get(row.value);
    all.set(row.value, same ? { ...same, count: same.count + row.count } : row);
  }
  return [...all.values()].sort((a, b) => b.count - a.count);
}
