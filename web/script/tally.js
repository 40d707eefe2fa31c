// Tally's script for web pages: <script defer src="https://tally.example/tally.js" data-key="tly_in_…"></script>.
// docs/web-script.md says what it does. What is served is tally.min.js beside it, which `.ci/web --write` makes of this file. It
// has at most 1,536 bytes after `gzip -9`, so what another part can do is not done here: the server tells paths and bots.
//
// Each event gets its id here, once, and stays in localStorage until Tally has answered for it. So what is sent again, because
// an answer was lost or none was awaited, is the same event and counts once.
(() => {
  /** @typedef {Record<string, any>} Fields */
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const options = script.dataset;
  // Wherever the tag has it, be it one for Plausible or Umami. Without a key the script ends here, with an error.
  const key = /** @type {any} */ (/tly_\w+/.exec(script.outerHTML))[0];
  // Tally may be below a path of another server. A file of Plausible's has its options in its name: script.hash.js.
  const [, base, , variants] = /** @type {any} */ (/(.*?)(\/js)?\/[^/.]*([^/]*)$/.exec(script.src));
  /** @param {string} word */
  const wants = (word) => (options.track + variants).includes(word);

  const start = () => {
    /** @type {Fields} */
    let stored = {};
    try {
      stored = localStorage;
    } catch {
      // It is forbidden: what is unsent lives as long as the page.
    }
    /** @type {any} */
    let busy;
    /** @type {any} */
    let user;
    /** The address of the page view that is shown; none on a page that is left out. @type {any} */
    let view;
    /** The id of its engagement: one event, which grows until the view ends. @type {any} */
    let engagement;
    /** How long it was seen, to the second. @type {any} */
    let duration_ms;
    let pause = 1e3;
    let errors = 9;

    // A UUID of version 7, which tells the time of the event. The server makes it a ULID.
    const newId = () => `0${Date.now().toString(16)}70008${Math.random().toFixed(15).slice(2)}`;

    /** @returns {Fields[]} */
    const read = () => JSON.parse(stored[key] || '[]');
    /** @param {any} events */
    const keep = (events) => {
      events = JSON.stringify(events.slice(-99));
      try {
        stored[key] = events;
      } catch {
        // It is full.
        stored = { [key]: events };
      }
      send();
    };
    const send = () => {
      const body = stored[key];
      // A page that is left does not wait for an answer.
      if ((!busy || document.hidden) && body > '[]') {
        busy = 1;
        // The time zone tells the country, and the width an iPad from a Mac. It outlives the page, which browsers grant to 64 KB. No answer comes then, so the next visit sends it again.
        fetch(
          `${options.collect || `${base}/{collect}`}?key=${key}&z=${Intl.DateTimeFormat().resolvedOptions().timeZone}&w=${screen.width}`,
          {
            method: 'POST',
            body,
            keepalive: body.length < 6e4,
          },
        )
          .then((reply) => {
            // 429, or what a server does that fails.
            if (reply.status > 428) throw 0;
            // Stored, or refused for good. What has changed meanwhile stays.
            busy = 0;
            keep(read().filter((event) => !body.includes(JSON.stringify(event))));
          })
          .catch(() => {
            // 2, 4, 8, 16 and 32 s, and then 4 again.
            pause = (pause * 2) % 6e4;
            setTimeout(resend, pause);
          });
      }
    };
    const resend = () => {
      busy = 0;
      send();
    };

    const place = () => location.href.split(/** @type {any} */ (wants('hash') ? undefined : '#'))[0];

    /** @param {string} list @param {string} value */
    const among = (list, value) => RegExp(`^(${list.replace(/\*/g, '.*').replace(/, */g, '|')})$`).test(value);

    /** @param {string} name @param {Fields} [data] @param {any} [fields] */
    const put = (name, data, fields) => {
      data = { url: place(), ...data };
      if (name === 'pageview') {
        rest();
        data = { referrer: view || document.referrer, title: document.title, ...data };
        view = data.url;
        engagement = newId();
        duration_ms = 0;
      }
      if (
        stored.tally_ignore ||
        navigator.webdriver ||
        // biome-ignore lint/suspicious/noDoubleEquals: shorter
        navigator.doNotTrack == /** @type {any} */ (1) ||
        !among(options.domains || '*', location.hostname) ||
        among(options.exclude || '', location.pathname)
      ) {
        view = '';
        return;
      }
      fields = { id: newId(), name, user_id: user, data, ...fields };
      keep([...read().filter(({ id }) => id !== fields.id), fields]);
    };

    const rest = () => {
      if (view) put('engagement', { url: view, duration_ms }, { id: engagement });
    };

    /** @param {any} name @param {Fields} [data] */
    const track = (name = {}, data) => {
      // Umami's ways: all fields at once, or what makes them.
      const fields = name.big ? { name, data } : name.call ? name({ url: place() }) : name;
      const { name: event = 'pageview', data: more, ...rest } = fields;
      put(event, { ...rest, ...more });
    };

    setInterval(() => {
      if (!document.hidden) duration_ms += 1e3;
    }, 1e3);
    addEventListener('visibilitychange', () => document.hidden && rest());
    addEventListener('pageshow', ({ persisted }) => persisted && put('pageview'));

    /** @param {any} event */
    const act = ({ target, type }) => {
      const { href, hostname, pathname } = target.closest('a[href]') || { href: target.action };
      const marked = target.closest('[data-tally-event],[data-umami-event]');
      // A mere click has no such word.
      const kind = /\.(?!htm|php)[a-z]\w+$/i.test(pathname)
        ? 'download'
        : hostname && hostname !== location.hostname
          ? 'outbound'
          : type;
      if (wants(kind)) put(kind, { href });
      if (marked) {
        /** @type {Fields} */
        const data = {};
        for (const { name, value } of marked.attributes) data[name.split(/-event-?(.*)/)[1]] = value;
        const { '': name, undefined: _, ...rest } = data;
        put(name, rest);
      }
    };
    for (const type of ['click', 'submit']) addEventListener(type, act, true);

    if (wants('error')) {
      for (const type of ['error', 'unhandledrejection']) {
        addEventListener(type, (/** @type {any} */ { message, error, reason = error }) => {
          if (errors-- > 0) put('error', {}, { level: 'ERROR', message: `${reason ?? message}`, stack: reason?.stack });
        });
      }
    }

    if (!wants('manual')) {
      // Later, when the page has its title.
      const moved = () => setTimeout(() => place() !== view && put('pageview'));
      const push = history.pushState;
      history.pushState = (...values) => {
        push.apply(history, values);
        moved();
      };
      addEventListener('popstate', moved);
      put('pageview');
    }
    send();

    /** @param {any} name @param {any} call */
    const offer = (name, call) => {
      // What the page called before this script was there.
      const q = /** @type {any} */ (window[name])?.q || [];
      window[name] = call;
      for (const values of q) call(...values);
    };
    offer('tally', track);
    offer('plausible', (/** @type {string} */ name, /** @type {Fields} */ { u, props, revenue, callback } = {}) => {
      put(name, { url: u || place(), ...props, revenue });
      callback?.();
    });
    offer('umami', {
      track,
      /** @param {any} id @param {Fields} [data] */
      identify(id, data) {
        user = id;
        put('identify', data);
      },
    });
  };
  // No types have it yet. It does not bubble to the window.
  if (/** @type {any} */ (document).prerendering) addEventListener('prerenderingchange', start, true);
  else start();
})();
