import { h } from './dom.js';
import { navigate, stateUrl } from './state.js';

/**
 * Whether a click asks for nothing special, such as a new tab.
 *
 * @param {MouseEvent} event
 */
export function plainClick(event) {
  return event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
}

/**
 * A link to a state, followed without loading the page anew.
 *
 * @param {import('./state.js').State} state
 * @param {import('./dom.js').Props} props
 * @param {...import('./dom.js').Child} children
 */
export function stateLink(state, props, ...children) {
  /** @param {MouseEvent} event */
  function click(event) {
    if (plainClick(event)) {
      event.preventDefault();
      navigate(state);
    }
  }
  return h('a', { ...props, href: stateUrl(state), on: { click } }, ...children);
}

/** Where this Tally is, with a slash at its end. */
export function baseUrl() {
  return new URL('.', location.href).href;
}
