import { appPath, request } from './api.js';
import { copyBlock } from './copy-block.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { field, input, lineInput, linesOf, numberOf, radios } from './form.js';

/**
 * Asks for a new key, and shows it once.
 *
 * @param {string} app
 * @param {() => void} done
 */
export function createKey(app, done) {
  const sending = h('div', { class: 'fields' }, bounds());
  const scopes = radios('scope', 'It may', [
    ['ingest', 'send events'],
    ['read', 'read events, reports and statistics'],
    ['upload', 'upload source maps, with sentry-cli'],
  ]);
  scopes.addEventListener('change', (event) => {
    sending.hidden = /** @type {HTMLInputElement} */ (event.target).value !== 'ingest';
  });
  openDialog(
    { title: 'Create key', action: 'Create', closed: done },
    [scopes, field('Label', input('label', { maxlength: '100', placeholder: 'Web shop' })), sending],
    async (data) => {
      const scope = String(data.get('scope'));
      const label = String(data.get('label')).trim() || undefined;
      const limits = {
        origins: linesOf(data.get('origins')) ?? undefined,
        events_per_minute: numberOf(data.get('events_per_minute')) ?? undefined,
      };
      const body = { scopes: [scope], label, ...(scope === 'ingest' ? limits : {}) };
      return shownOnce('key', (await request('POST', appPath(app, 'keys'), { body })).key);
    },
  );
}

function bounds() {
  return [
    field(
      'Origins',
      lineInput('origins', { placeholder: 'https://shop.example' }),
      'One a line: the only web pages that may send with it. Set them where the key is public.',
    ),
    field('Events per minute', input('events_per_minute', { type: 'number', min: '1', placeholder: 'No limit' })),
  ];
}

/**
 * A secret that cannot be shown again.
 *
 * @param {string} label
 * @param {string} secret
 */
export function shownOnce(label, secret) {
  return [h('p', null, 'Copy it now: it is not shown again.'), copyBlock(label, secret)];
}
