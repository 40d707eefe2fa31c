/**
 * The state of the page. All of it stands in the URL, so a reload, "back" and a copied link show the same. Filters have the
 * names and values of the API.
 */

/** The fields that take filters, besides `attr.PATH`. */
export const FILTER_FIELDS = [
  'name',
  'slug',
  'category',
  'level',
  'message',
  'group',
  'session_id',
  'user_id',
  'fingerprint',
];

/** The filter that searches for a text. There is one at most, without an operator. */
export const SEARCH = 'q';

/** @typedef {'' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'contains' | 'exists'} Operator */

/**
 * One condition. Several values mean "one of them"; with `ne`, "none of them".
 *
 * @typedef {{ field: string, operator: Operator, values: string[] }} Filter
 */

/**
 * What the page shows. `options` holds what only one view knows, such as the tab of the settings.
 *
 * @typedef {{
 *   app: string | null,
 *   view: string,
 *   since: string,
 *   until: string,
 *   tz: string,
 *   weekStart: string,
 *   compare: boolean,
 *   filters: Filter[],
 *   options: Record<string, string>,
 * }} State
 */

/** A parameter that is a filter. The last brackets hold the operator: a path of `data` may hold some too. */
const FILTER_NAME =
  /^(q(?=$)|name|slug|category|level|message|group|session_id|user_id|fingerprint|attr\..+?)(?:\[(eq|ne|gt|gte|lt|lte|contains|exists)\])?$/;

/** The browser's time zone. */
export const BROWSER_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

/**
 * @param {string} query a query string, with or without `?`
 * @returns {State}
 */
export function parseState(query) {
  /** @type {State} */
  const state = {
    app: null,
    view: '',
    since: '24h',
    until: '',
    tz: BROWSER_ZONE,
    weekStart: 'monday',
    compare: true,
    filters: [],
    options: {},
  };
  const params = new URLSearchParams(query);
  // The list of errors has a search of its own, in their titles.
  const searches = params.get('view') !== 'errors';
  for (const [name, value] of params) {
    const filter = name !== SEARCH || searches ? FILTER_NAME.exec(name) : null;
    if (filter) {
      const operator = /** @type {Operator} */ (filter[2] === 'eq' ? '' : (filter[2] ?? ''));
      const field = filter[1] ?? '';
      const values = field === 'level' ? value.split(',') : [value];
      for (const each of values) {
        addTo(state.filters, field, operator, each);
      }
    } else if (name === 'app') {
      state.app = value || null;
    } else if (name === 'view' || name === 'since' || name === 'until' || name === 'tz') {
      state[name] = value;
    } else if (name === 'week_start') {
      state.weekStart = value;
    } else if (name === 'compare') {
      state.compare = value === 'previous';
    } else {
      state.options[name] = value;
    }
  }
  return state;
}

/**
 * The filters as parameters of the API.
 *
 * @param {Filter[]} filters
 * @returns {[string, string][]}
 */
export function filterParams(filters) {
  /** @type {[string, string][]} */
  const params = [];
  for (const { field, operator, values } of filters) {
    // Without an operator, brackets at the end of a path would be read as one.
    const written = operator || (field.endsWith(']') ? 'eq' : '');
    const name = written ? `${field}[${written}]` : field;
    for (const value of field === 'level' ? [values.join(',')] : values) {
      params.push([name, value]);
    }
  }
  return params;
}

/**
 * The range and the filters as parameters of the API.
 *
 * @param {State} state
 * @returns {[string, string][]}
 */
export function rangeParams(state) {
  /** @type {[string, string][]} */
  const params = [['since', state.since]];
  if (state.until) {
    params.push(['until', state.until]);
  }
  params.push(['tz', state.tz]);
  if (state.weekStart !== 'monday' && [state.since, state.until].includes('this-week')) {
    params.push(['week_start', state.weekStart]);
  }
  return params;
}

/**
 * The URL of a state, with the key of a share link if the page has one.
 *
 * @param {State} state
 * @returns {string}
 */
export function stateUrl(state) {
  const query = stateQuery(state);
  return `${location.pathname}${query ? `?${query}` : ''}${location.hash}`;
}

/**
 * The query string of a state. What has its default is left out.
 *
 * @param {State} state
 * @returns {string}
 */
export function stateQuery(state) {
  const params = new URLSearchParams();
  if (state.app) {
    params.set('app', state.app);
  }
  if (state.view) {
    params.set('view', state.view);
  }
  if (state.since !== '24h') {
    params.set('since', state.since);
  }
  if (state.until) {
    params.set('until', state.until);
  }
  if (state.tz !== BROWSER_ZONE) {
    params.set('tz', state.tz);
  }
  if (state.weekStart !== 'monday') {
    params.set('week_start', state.weekStart);
  }
  if (!state.compare) {
    params.set('compare', 'none');
  }
  for (const [name, value] of filterParams(state.filters)) {
    params.append(name, value);
  }
  for (const [name, value] of Object.entries(state.options)) {
    if (value) {
      params.set(name, value);
    }
  }
  return params.toString();
}

/**
 * The filters with one value more.
 *
 * @param {Filter[]} filters
 * @param {string} field
 * @param {Operator} operator
 * @param {string} value
 * @returns {Filter[]}
 */
export function withFilter(filters, field, operator, value) {
  const copy = filters.map((filter) => ({ ...filter, values: [...filter.values] }));
  addTo(copy, field, operator, value);
  return copy;
}

/**
 * The filters without one value, or without a whole condition where no value is given.
 *
 * @param {Filter[]} filters
 * @param {string} field
 * @param {Operator} operator
 * @param {string} [value]
 * @returns {Filter[]}
 */
export function withoutFilter(filters, field, operator, value) {
  return filters
    .map((filter) => {
      if (filter.field !== field || filter.operator !== operator) {
        return filter;
      }
      return { ...filter, values: value === undefined ? [] : filter.values.filter((each) => each !== value) };
    })
    .filter((filter) => filter.values.length > 0);
}

/**
 * @param {Filter[]} filters
 * @param {string} field
 * @param {Operator} operator
 * @param {string} value
 */
function addTo(filters, field, operator, value) {
  const found = filters.find((filter) => filter.field === field && filter.operator === operator);
  if (!found) {
    filters.push({ field, operator, values: [value] });
  } else if (field === SEARCH) {
    found.values = [value];
  } else if (!found.values.includes(value)) {
    found.values.push(value);
  }
}

/** @type {Set<(state: State) => void>} */
const listeners = new Set();

/**
 * Calls a function with each new state.
 *
 * @param {(state: State) => void} listener
 * @returns {() => void} ends it
 */
export function onState(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @returns {State} */
export function currentState() {
  return parseState(location.search);
}

/**
 * Goes to a state that differs from the current one by some fields.
 *
 * @param {Partial<State>} changes
 * @param {{ replace?: boolean }} [how] `replace` makes no entry in the history
 */
export function navigate(changes, how = {}) {
  const url = stateUrl({ ...currentState(), ...changes });
  if (url === `${location.pathname}${location.search}${location.hash}`) {
    return;
  }
  history[how.replace ? 'replaceState' : 'pushState'](null, '', url);
  announce();
}

/** Tells the listeners the state of the URL. */
export function announce() {
  const state = currentState();
  for (const listener of [...listeners]) {
    listener(state);
  }
}
