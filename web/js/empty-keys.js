/**
 * Ingest keys that were made while this page is open, by app. Keys are stored hashed, so these alone can be filled into commands;
 * they are forgotten with the page.
 *
 * @type {Map<string, string>}
 */
export const emptyKeys = new Map();
