/**
 * Calls the API. The credential is the cookie of the session, or the key of a share link, which stands in the fragment of the
 * URL: a fragment is never sent, and a header is not kept in logs.
 */

/** @typedef {{ field: string, detail: string }} FieldError */

/** A reply that is a problem, or a request without a reply (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {FieldError[]} errors
   * @param {number} wait seconds until the request may be sent again, or 0
   * @param {string} expiredAt since when the key is refused, or an empty string
   */
  constructor(status, detail, errors = [], wait = 0, expiredAt = '') {
    super(detail);
    this.status = status;
    this.errors = errors;
    this.wait = wait;
    this.expiredAt = expiredAt;
  }
}

/** The read key of a share link, or an empty string. */
export function shareKey() {
  return new URLSearchParams(location.hash.slice(1)).get('key') ?? '';
}

/** @type {(problem: ApiError) => Promise<void>} */
let signInAgain = (problem) => Promise.reject(problem);

/**
 * Sets what happens when a session or a share link has ended in the middle of work: it resolves once the user has signed in
 * again, and the request is then sent once more.
 *
 * @param {(problem: ApiError) => Promise<void>} handler
 */
export function onSessionEnd(handler) {
  signInAgain = handler;
}

/**
 * @typedef {{
 *   query?: Iterable<[string, string]>,
 *   body?: unknown,
 *   signal?: AbortSignal,
 *   headers?: Record<string, string>,
 *   quiet?: boolean,
 * }} Call `quiet` hands a 401 to the caller
 */

/** Milliseconds by which the server's clock is ahead of this machine's. */
let ahead = 0;

/** The time by the server's clock, to a second. */
export function serverNow() {
  return Date.now() + ahead;
}

/**
 * Sends a request and reads its JSON.
 *
 * @param {string} method
 * @param {string} path relative, such as `apps/shop`
 * @param {Call} [call]
 * @returns {Promise<any>} null for a reply without a body
 */
export async function request(method, path, call = {}) {
  const key = shareKey();
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json', ...call.headers };
  if (key) {
    headers['X-Read-Key'] = key;
  }
  if (call.body !== undefined) {
    headers['Content-Type'] = 'application/json';
  }
  const query = new URLSearchParams([...(call.query ?? [])]).toString();
  /** @type {Response} */
  let reply;
  try {
    reply = await fetch(query ? `${path}?${query}` : path, {
      method,
      headers,
      credentials: key ? 'omit' : 'same-origin',
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') {
      throw error;
    }
    throw new ApiError(0, 'The server cannot be reached.');
  }
  const date = Date.parse(reply.headers.get('Date') ?? '');
  ahead = Number.isNaN(date) ? ahead : date - Date.now();
  if (!reply.ok) {
    const problem = await problemOf(reply);
    if (problem.status === 401 && !call.quiet) {
      await signInAgain(problem);
      return request(method, path, { ...call, quiet: true });
    }
    throw problem;
  }
  return reply.status === 204 ? null : reply.json();
}

/**
 * @param {string} path
 * @param {Iterable<[string, string]>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function get(path, query = [], signal) {
  return request('GET', path, signal ? { query, signal } : { query });
}

/**
 * The path of an app.
 *
 * @param {string} app
 * @param {...string} segments
 */
export function appPath(app, ...segments) {
  return ['apps', app, ...segments].map(encodeURIComponent).join('/');
}

/**
 * @param {Response} reply
 * @returns {Promise<ApiError>}
 */
async function problemOf(reply) {
  const wait = Number(reply.headers.get('Retry-After')) || 0;
  try {
    const { detail, title, errors, expired_at } = await reply.json();
    const fields = Array.isArray(errors) ? errors : [];
    return new ApiError(reply.status, detail ?? title ?? reply.statusText, fields, wait, expired_at);
  } catch {
    return new ApiError(reply.status, `The server answered ${reply.status} ${reply.statusText}.`, [], wait);
  }
}
