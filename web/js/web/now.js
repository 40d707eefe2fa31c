import { fill, h } from '../dom.js';
import { filterParams } from '../state.js';
import { numberText } from '../value.js';
import { askStatistic } from './asks.js';

/** Milliseconds between two looks at who is there. */
const LOOK_AGAIN = 30_000;

/**
 * How many visitors the last five minutes have. It looks while the page is visible, and not when nobody sees it.
 *
 * @param {(visitors: number) => void} seen is told each number
 */
export function visitorsNow(seen) {
  const element = h('span', { class: 'web-now', title: 'Who viewed a page in the last 5 minutes' });
  let timer = 0;
  let controller = new AbortController();
  let question = '';
  let app = '';
  document.addEventListener('visibilitychange', look);
  return {
    element,
    /** @param {import('../state.js').State} state */
    update: (state) => {
      const next = JSON.stringify([['since', '5m'], ...filterParams(state.filters)]);
      if (next !== question || app !== state.app) {
        question = next;
        app = state.app ?? '';
        look();
      }
    },
    stop,
    close: () => {
      stop();
      document.removeEventListener('visibilitychange', look);
    },
  };

  /** Looks no more, until there is another question. */
  function stop() {
    controller.abort();
    clearTimeout(timer);
    question = '';
  }

  async function look() {
    controller.abort();
    clearTimeout(timer);
    if (document.hidden || !question) {
      return;
    }
    controller = new AbortController();
    const { signal } = controller;
    try {
      const reply = await askStatistic(app, 'web', JSON.parse(question), signal);
      if (!signal.aborted) {
        show(reply);
      }
    } catch {
      // The next look may succeed; what it showed is old by then.
      if (!signal.aborted) {
        fill(element);
      }
    }
    if (!signal.aborted) {
      timer = setTimeout(look, LOOK_AGAIN);
    }
  }

  /** @param {import('./asks.js').Visits} reply */
  function show({ visitors, complete }) {
    const least = complete === false ? 'at least ' : '';
    fill(
      element,
      h('i', { class: `web-dot${visitors > 0 ? ' on' : ''}`, 'aria-hidden': 'true' }),
      least,
      numberText(visitors),
      ` ${visitors === 1 ? 'visitor' : 'visitors'} now`,
    );
    seen(visitors);
  }
}
