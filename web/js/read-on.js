import { describe } from './dialog.js';
import { fill } from './dom.js';

/** @typedef {import('./event-pages.js').Progress} Progress */

/**
 * Reads the next pages of a list, unless the list shows others by then. An error is told below it.
 *
 * @param {import('./event-pages.js').EventPages} pages
 * @param {{
 *   isShown: () => boolean,
 *   grow: (progress: Progress) => void,
 *   tell: (progress: Progress) => void,
 *   content: () => import('./dom.js').Child | undefined,
 *   body: HTMLElement,
 *   note: { fail: (text: string) => void },
 * }} list `grow` is called as events come, `tell` at the end; `content` takes the place of what `body` holds, if there is any
 */
export async function readFurther(pages, { isShown, grow, tell, content, body, note }) {
  try {
    const progress = await pages.more((now) => {
      if (isShown()) {
        grow(now);
      }
    });
    if (isShown()) {
      tell(progress);
      const shown = content();
      if (shown) {
        fill(body, shown);
      }
    }
  } catch (error) {
    if (isShown()) {
      note.fail(`More events could not be read. ${describe(error)}`);
    }
  }
}
