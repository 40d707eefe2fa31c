/**
 * Builds elements. Text becomes text nodes and never markup, so a value from an event cannot become part of the page.
 */

/** @typedef {Node | string | number | null | undefined | false | readonly any[]} Child what an element contains; lists may nest */

/**
 * Properties of an element: `class`, `style` (an object, set through CSSOM since the policy of the page forbids style
 * attributes), `dataset`, `on` (listeners by event), and attributes. `true` sets an empty attribute; null, undefined and false
 * leave it out.
 *
 * @typedef {{
 *   class?: string,
 *   style?: Record<string, string>,
 *   dataset?: Record<string, string>,
 *   on?: Record<string, (event: any) => void>,
 *   [attribute: string]: unknown,
 * }} Props
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  setProps(element, props ?? {});
  append(element, children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, props, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setProps(element, props ?? {});
  append(element, children);
  return element;
}

/**
 * Replaces what a node contains.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * @param {Element} element
 * @param {Props} props
 */
function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (name === 'on') {
      for (const [event, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value))) {
        element.addEventListener(event, listener);
      }
    } else if (name === 'style') {
      for (const [property, text] of Object.entries(/** @type {Record<string, string>} */ (value))) {
        /** @type {HTMLElement} */ (element).style.setProperty(property, text);
      }
    } else if (name === 'dataset') {
      Object.assign(/** @type {HTMLElement} */ (element).dataset, value);
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) {
      append(element, child);
    } else if (child instanceof Node) {
      element.append(child);
    } else if (child !== null && child !== undefined && child !== false) {
      element.append(String(child));
    }
  }
}
