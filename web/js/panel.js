import { ApiError } from './api.js';
import { fill, h } from './dom.js';

/**
 * A part of a page that loads by itself. It never blocks or breaks another one:
 * - at first it shows a skeleton, after 150 ms;
 * - while it loads again, what it showed stays, dimmed, below a thin bar;
 * - an error stays inside it and offers to retry;
 * - the answer to an older question is dropped.
 */
export class Panel {
  /**
   * @param {{ class?: string, label?: string, what: string }} options `what` names the content in errors: "Messages"
   */
  constructor({ class: name = '', label, what }) {
    this.what = what;
    this.body = h('div', { class: 'panel-body' });
    this.element = h('section', { class: `panel ${name}`, 'aria-label': label ?? what }, this.body);
    /** @type {AbortController | null} */
    this.running = null;
    this.filled = false;
  }

  /**
   * Loads and shows.
   *
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} load
   * @param {(data: T) => import('./dom.js').Child} render what to put in place of the old content; undefined keeps it
   * @param {boolean} [quiet] loads without a sign: a refresh of what is shown
   * @returns {Promise<void>}
   */
  async show(load, render, quiet = false) {
    this.running?.abort();
    const controller = new AbortController();
    this.running = controller;
    if (!quiet) {
      this.element.setAttribute('aria-busy', 'true');
    }
    const skeleton = setTimeout(() => {
      if (!this.filled && !controller.signal.aborted) {
        fill(this.body, h('div', { class: 'skeleton' }));
      }
    }, 150);
    try {
      const data = await load(controller.signal);
      if (controller.signal.aborted) {
        return;
      }
      const content = render(data);
      if (content !== undefined) {
        fill(this.body, content);
      }
      this.filled = true;
    } catch (error) {
      if (controller.signal.aborted) {
        return;
      }
      this.filled = true;
      fill(
        this.body,
        this.failure(error, () => this.show(load, render)),
      );
    } finally {
      clearTimeout(skeleton);
      if (this.running === controller) {
        this.running = null;
        this.element.removeAttribute('aria-busy');
      }
    }
  }

  /** Stops what it loads. */
  close() {
    this.running?.abort();
  }

  /**
   * @param {unknown} error
   * @param {() => void} retry
   */
  failure(error, retry) {
    const status = error instanceof ApiError && error.status ? ` (${error.status})` : '';
    const detail = error instanceof Error ? error.message : String(error);
    return h(
      'div',
      { class: 'failure', role: 'alert' },
      h('p', null, `${this.what} could not be read${status}. ${detail}`),
      h('button', { type: 'button', on: { click: retry } }, 'Retry'),
    );
  }
}
