/**
 * How to send the first event. `code` gives lines.
 *
 * @typedef {{ title: string, text: string, code: (place: Place) => string[] }} Way
 * @typedef {{ url: string, host: string, scheme: string, app: string, key: string }} Place `url` has no slash at its end
 */

/** @type {Way[]} */
export const WAYS = [
  {
    title: 'curl',
    text: 'Run it in a terminal.',
    code: ({ url, app, key }) => [
      `curl -X POST ${url}/apps/${app}/events \\`,
      `  -H 'X-Ingest-Key: ${key}' \\`,
      `  -d '{"name": "application started"}'`,
    ],
  },
  {
    title: 'JavaScript',
    text: 'In a page, in Node, Deno or Bun. A key in a page is public: give it origins in the settings.',
    code: ({ url, app, key }) => [
      `await fetch('${url}/apps/${app}/events', {`,
      `  method: 'POST',`,
      `  headers: { 'X-Ingest-Key': '${key}' },`,
      `  body: JSON.stringify({ name: 'signed up', user_id: '42', data: { plan: 'pro' } }),`,
      `});`,
    ],
  },
  {
    title: 'Python',
    text: 'With the standard library alone.',
    code: ({ url, app, key }) => [
      `import json, urllib.request`,
      ``,
      `event = {"name": "signed up", "user_id": "42", "data": {"plan": "pro"}}`,
      `urllib.request.urlopen(urllib.request.Request(`,
      `    "${url}/apps/${app}/events",`,
      `    data=json.dumps(event).encode(),`,
      `    headers={"X-Ingest-Key": "${key}", "Content-Type": "application/json"},`,
      `))`,
    ],
  },
  {
    title: 'OpenTelemetry',
    text: 'Every SDK reads these settings. Log records become events; traces and metrics are not kept.',
    code: ({ url, key }) => [
      `export OTEL_EXPORTER_OTLP_ENDPOINT=${url}`,
      `export OTEL_EXPORTER_OTLP_HEADERS=x-ingest-key=${key}`,
      `export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`,
    ],
  },
  {
    title: 'Sentry',
    text: 'Every SDK has one setting, the DSN. The project may be any number.',
    code: ({ scheme, host, key }) => [
      `// JavaScript`,
      `Sentry.init({ dsn: '${scheme}//${key}@${host}/1' })`,
      ``,
      `# Python`,
      `sentry_sdk.init(dsn="${scheme}//${key}@${host}/1")`,
    ],
  },
  {
    title: 'PostHog',
    text: 'Every library has the same two settings. In a page, install posthog-js from npm.',
    code: ({ url, key }) => [
      `// posthog-js`,
      `posthog.init('${key}', { api_host: '${url}' })`,
      ``,
      `// posthog-node`,
      `const client = new PostHog('${key}', { host: '${url}' })`,
      ``,
      `# Python`,
      `posthog = Posthog('${key}', host='${url}')`,
    ],
  },
  {
    title: 'Segment',
    text: 'In a page, install @segment/analytics-next from npm.',
    code: ({ url, key }) => [
      `// @segment/analytics-next`,
      `const analytics = AnalyticsBrowser.load({ writeKey: '${key}', cdnURL: '${url}' })`,
      ``,
      `// @segment/analytics-node`,
      `const analytics = new Analytics({ writeKey: '${key}', host: '${url}' })`,
      ``,
      `# Python`,
      `analytics.write_key = '${key}'`,
      `analytics.host = '${url}'`,
    ],
  },
  {
    title: 'Log files',
    text: 'Lines of logs become events, in most formats, also compressed. A line counts once, however often it is imported.',
    code: ({ url, app, key }) => [
      `TALLY_KEY=${key} tally import app.log '/var/log/shop/*.gz' --app ${app} --url ${url}`,
      ``,
      `# As they are written`,
      `TALLY_KEY=${key} tally import app.log --app ${app} --url ${url} --follow`,
    ],
  },
];
