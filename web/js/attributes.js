import { ApiError, appPath, get } from './api.js';

/** The paths of `data` that an app's recent events have. */

/** @typedef {{ path: string, kind: string, seen: number, examples: unknown[] }} Attribute */

/** @type {Map<string, Promise<Attribute[] | null>>} */
const attributesByApp = new Map();

/**
 * Read once for each app, and again after a failure.
 *
 * @param {string} app
 * @returns {Promise<Attribute[] | null>} null where the server does not list them
 */
export function attributesOf(app) {
  let found = attributesByApp.get(app);
  if (!found) {
    found = get(appPath(app, 'attributes')).then(
      ({ items }) => items,
      (error) => {
        if (error instanceof ApiError && (error.status === 404 || error.status === 403)) {
          return null;
        }
        attributesByApp.delete(app);
        throw error;
      },
    );
    attributesByApp.set(app, found);
  }
  return found;
}
