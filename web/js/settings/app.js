import { ApiError, appPath, get, request } from '../api.js';
import { describe, notify, openDialog } from '../dialog.js';
import { fill, h } from '../dom.js';
import { continueErasing, eraseApp } from '../erase.js';
import { field, input, lineInput, linesOf, numberOf } from '../form.js';
import { formatTime } from '../format.js';
import { Panel } from '../panel.js';
import { tabHead } from './list.js';

/**
 * @typedef {{
 *   id: string, name: string, created_at: string, clock: 'event' | 'received', retention_days: number | null,
 *   shards: number, counted: string[], events_per_minute: number | null, names: string[] | null, max_new_names_per_day: number | null,
 *   pending?: { from: string, retention_days: number | null, shards: number, counted: string[] }[],
 * }} AppSettings
 */

/**
 * The settings of the app itself.
 *
 * @param {import('../state.js').State} state
 * @returns {import('../pages/settings.js').Tab}
 */
export function appTab(state) {
  const app = state.app ?? '';
  const panel = new Panel({ what: 'The settings', label: 'App' });
  panel.show(
    (signal) =>
      get(appPath(app), [], signal).catch((error) => {
        if (error instanceof ApiError && error.status === 404) {
          return null;
        }
        throw error;
      }),
    (found) => (found ? settingsForm(found, state.tz) : missingApp(app)),
  );
  return { element: panel.element, close: () => panel.close() };
}

/**
 * @param {AppSettings} before
 * @param {string} tz
 */
function settingsForm(before, tz) {
  let saved = before;
  const failure = h('div', { class: 'failure', role: 'alert', hidden: true });
  const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
  const pending = h('div', { class: 'pending' });
  const form = h('form', { class: 'settings-form', on: { submit } }, controls(saved), pending, failure, save);
  fill(pending, pendingChanges(saved, tz));
  return [
    tabHead('App', [
      h('code', null, before.id),
      ` · created ${formatTime(before.created_at, tz, 'full')} · `,
      before.clock === 'event' ? 'counts by the time of the event' : 'counts by the time of arrival',
    ]),
    form,
    h(
      'div',
      { class: 'zone' },
      h('div', null, h('h2', null, 'Erase this app'), h('p', { class: 'muted' }, 'All events, counts and keys go.')),
      h('button', { type: 'button', class: 'danger', on: { click: () => askToErase(saved) } }, 'Erase app'),
    ),
  ];

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const changes = changedSettings(saved, new FormData(form));
    if (Object.keys(changes).length === 0) {
      notify('Nothing has changed.');
      return;
    }
    save.disabled = true;
    failure.hidden = true;
    try {
      saved = await request('PATCH', appPath(saved.id), { body: changes });
      fill(pending, pendingChanges(saved, tz));
      notify('Saved.');
    } catch (error) {
      fill(failure, describe(error));
      failure.hidden = false;
    } finally {
      save.disabled = false;
    }
  }
}

/**
 * The values that will be in force: those of the last pending change.
 *
 * @param {AppSettings} app
 */
function futureLayout(app) {
  return app.pending?.at(-1) ?? app;
}

/** @param {AppSettings} app */
function controls(app) {
  const { retention_days, shards, counted } = futureLayout(app);
  const number = { type: 'number', min: '1', inputmode: 'numeric' };
  return [
    field('Name', input('name', { required: true, maxlength: '100' }, app.name), `Paths keep using ${app.id}.`),
    half(
      'Retention in days',
      input('retention_days', { ...number, max: '36500', placeholder: 'For ever' }, retention_days),
      'Empty keeps events for ever.',
    ),
    half(
      'Events per minute',
      input('events_per_minute', { ...number, placeholder: 'No limit' }, app.events_per_minute),
      'What exceeds it is refused with 429.',
    ),
    half(
      'New names per day',
      input(
        'max_new_names_per_day',
        { ...number, max: '1000000', placeholder: 'A generous bound' },
        app.max_new_names_per_day,
      ),
      'An event whose name would be one too many is refused.',
    ),
    half(
      'Shards',
      input('shards', { ...number, min: String(shards), max: '64', required: true }, shards),
      'Partitions over which events are spread. They only go up.',
    ),
    field(
      'Names',
      lineInput('names', { placeholder: 'Any name' }, app.names),
      'One a line. If there are any, events with other names are refused.',
    ),
    field(
      'Counted values',
      lineInput('counted', { placeholder: 'path' }, counted),
      'Paths of data, one a line, at most 8. Their values are counted at any size, which costs a little for each batch of events.',
    ),
  ];
}

/**
 * A field that takes half of the width.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} hint
 */
function half(label, control, hint) {
  const element = field(label, control, hint);
  element.classList.add('half');
  return element;
}

/**
 * @param {AppSettings} app
 * @param {FormData} data
 */
function changedSettings(app, data) {
  const before = { ...app, ...futureLayout(app) };
  /** @type {Record<string, unknown>} */
  const after = {
    name: String(data.get('name')).trim(),
    retention_days: numberOf(data.get('retention_days')),
    events_per_minute: numberOf(data.get('events_per_minute')),
    max_new_names_per_day: numberOf(data.get('max_new_names_per_day')),
    shards: numberOf(data.get('shards')),
    names: linesOf(data.get('names')),
    counted: (linesOf(data.get('counted')) ?? []).sort(),
  };
  const changes = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[/** @type {keyof typeof before} */ (name)]),
  );
  return Object.fromEntries(changes);
}

/**
 * @param {AppSettings} app
 * @param {string} tz
 */
function pendingChanges(app, tz) {
  return (app.pending ?? []).map(({ from, retention_days, shards, counted }) =>
    h(
      'p',
      null,
      `◷ Events of times from ${formatTime(from, tz, 'full')} on: `,
      retention_days === null ? 'kept for ever' : `kept ${retention_days} days`,
      `, ${shards} ${shards === 1 ? 'shard' : 'shards'}, counted values: ${counted.join(', ') || 'none'}. Until then: `,
      app.retention_days === null ? 'for ever' : `${app.retention_days} days`,
      `, ${app.shards} ${app.shards === 1 ? 'shard' : 'shards'}, counted values: ${app.counted.join(', ') || 'none'}.`,
    ),
  );
}

/** @param {AppSettings} app */
function askToErase({ id, name }) {
  const typed = input('typed', { required: true, autocomplete: 'off', spellcheck: 'false' });
  openDialog(
    { title: `Erase ${name}`, action: 'Erase app', danger: true },
    [
      h('p', null, 'All its events, counts, keys and share links go for good. It takes at least seven minutes.'),
      field(`Type ${name} to confirm`, typed),
    ],
    async () => {
      if (typed.value !== name) {
        throw new Error(`This is not the name. Type ${name}.`);
      }
      await eraseApp(id);
    },
  );
}

/** @param {string} app */
function missingApp(app) {
  const failure = h('p', { role: 'alert' });
  const more = () => continueErasing(app).catch((error) => fill(failure, describe(error)));
  return h(
    'div',
    { class: 'zone' },
    h('div', null, h('p', null, `There is no app ${app}, or it is being erased.`), failure),
    h('button', { type: 'button', on: { click: more } }, 'Continue erasing'),
  );
}
