import { request } from './api.js';
import { shownOnce } from './create-key.js';
import { openDialog } from './dialog.js';
import { emptyKeys } from './empty-keys.js';
import { choice, field, input, numberOf } from './form.js';
import { navigate } from './state.js';

/** Asks for a new app, shows its key once, and opens the page that says how to send the first event. */
export function createApp() {
  let id = '';
  openDialog(
    { title: 'New app', action: 'Create', closed: open },
    [
      field('Name', input('name', { required: true, maxlength: '100', autocomplete: 'off', placeholder: 'Web shop' })),
      field(
        'Clock',
        choice('clock', [
          ['event', 'The time of the event'],
          ['received', 'The time of arrival'],
        ]),
        'What orders and counts events. It cannot change once there are events.',
      ),
      field(
        'Retention in days',
        input('retention_days', { type: 'number', min: '1', max: '36500', placeholder: 'For ever' }),
        'Empty keeps events for ever.',
      ),
      field(
        'Counted values',
        choice('counted', [
          ['', 'None'],
          ['web', 'Those of web pages'],
        ]),
        'Pages, referrers, countries, devices, browsers and campaigns are then counted at any size.',
      ),
    ],
    async (data) => {
      const body = {
        name: String(data.get('name')).trim(),
        clock: data.get('clock'),
        retention_days: numberOf(data.get('retention_days')) ?? undefined,
        counted: data.get('counted') || undefined,
      };
      const app = await request('POST', 'apps', { body });
      id = app.id;
      emptyKeys.set(id, app.ingest_key);
      return shownOnce('ingest key', app.ingest_key);
    },
  );

  function open() {
    if (id) {
      navigate({ app: id, view: 'overview', filters: [], options: {} });
    }
  }
}
