import { h } from './dom.js';

/**
 * Saves rows as a CSV file.
 *
 * @param {string} name of the file
 * @param {(string | number | null | undefined)[][]} rows
 */
export function downloadCsv(name, rows) {
  const text = rows.map((row) => row.map(csvCell).join(',')).join('\r\n');
  const url = URL.createObjectURL(new Blob(['\ufeff', text, '\r\n'], { type: 'text/csv' }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @param {string | number | null | undefined} value */
function csvCell(value) {
  const text = String(value ?? '');
  // A spreadsheet would run a text that starts like a formula.
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
