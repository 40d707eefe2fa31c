import { attributesOf } from './attributes.js';
import { h } from './dom.js';
import { columnsOf, DEFAULT_COLUMNS, FIELD_COLUMNS, isColumn, maySeeField, storeColumns } from './event-fields.js';
import { titleOf } from './event-row.js';
import { menuButton } from './menu.js';
import { maySeeData } from './page.js';
import { currentState, navigate } from './state.js';

/**
 * A menu that chooses the columns of a list. They go into the URL, and are kept for the app.
 *
 * @param {import('./page.js').Account} account
 * @param {() => string[]} pathsSeen paths of `data` in the events at hand
 */
export function columnPicker(account, pathsSeen) {
  return menuButton({ label: 'Columns ▾', title: 'Choose columns', align: 'right' }, (close) =>
    pickerMenu(account, pathsSeen, close),
  );
}

/** @param {string[]} columns */
function chooseColumns(columns) {
  const { app, options } = currentState();
  storeColumns(app, columns);
  navigate({ options: { ...options, columns: columns.join(',') } }, { replace: true });
}

/**
 * @param {import('./page.js').Account} account
 * @param {() => string[]} pathsSeen
 * @param {() => void} close
 */
function pickerMenu(account, pathsSeen, close) {
  const columns = columnsOf(currentState(), account);
  const list = h('div', { class: 'column-list' });
  const own = columns.filter((field) => !FIELD_COLUMNS.includes(field));
  list.append(...[...FIELD_COLUMNS.filter((field) => maySeeField(account, field)), ...own].map(choice));
  const reset = h('button', { type: 'button', class: 'quiet', on: { click: toUsual } }, 'Usual columns');
  return [list, maySeeData(account) && pathForm(), reset];

  /** @param {string} field */
  function choice(field) {
    const box = h('input', { type: 'checkbox' });
    box.checked = columns.includes(field);
    box.addEventListener('change', () => {
      const chosen = columnsOf(currentState(), account).filter((each) => each !== field);
      chooseColumns(box.checked ? [...chosen, field] : chosen);
      // A list without columns would show the usual ones.
      box.checked = columnsOf(currentState(), account).includes(field);
    });
    return h('label', { class: 'menu-item check' }, box, h('span', null, titleOf(field)));
  }

  function toUsual() {
    chooseColumns(DEFAULT_COLUMNS);
    close();
  }

  function pathForm() {
    const paths = h('datalist', { id: 'column-paths' });
    const input = h('input', {
      name: 'path',
      list: 'column-paths',
      placeholder: 'plan or tags.release',
      autocomplete: 'off',
      'aria-label': 'A path of data, or tags.PATH',
    });
    offer(pathsSeen());
    attributesOf(currentState().app ?? '').then(
      (found) => offer((found ?? []).map(({ path }) => path)),
      () => {},
    );
    return h(
      'form',
      { class: 'row column-form', on: { submit: add } },
      input,
      paths,
      h('button', { type: 'submit' }, 'Add'),
    );

    /** @param {string[]} found */
    function offer(found) {
      const known = new Set([...paths.querySelectorAll('option')].map(({ value }) => value));
      paths.append(...found.filter((path) => !known.has(path)).map((path) => h('option', { value: path })));
    }

    /** @param {SubmitEvent} event */
    function add(event) {
      event.preventDefault();
      const typed = input.value.trim();
      const field = isColumn(typed) ? typed : `attr.${typed}`;
      if (typed && isColumn(field)) {
        const chosen = columnsOf(currentState(), account);
        if (!chosen.includes(field)) {
          chooseColumns([...chosen, field]);
          if (!FIELD_COLUMNS.includes(field)) {
            list.append(choice(field));
            columns.push(field);
            /** @type {HTMLInputElement} */ (list.lastElementChild?.querySelector('input')).checked = true;
          }
        }
        input.value = '';
      }
    }
  }
}
