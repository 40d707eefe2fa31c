export default async function ({ url, app, key, events, mark }) {
    for (let i = 0; i < events; i++) {
        const marker = mark();
        const event = { name: "clicked", id: marker, timestamp: new Date().toISOString(), data: { marker } };
        const sent = fetch(`${url}/apps/${app}/events`, { method: "POST", headers: { "x-ingest-key": key }, body: JSON.stringify(event) });
        await sent.catch(() => {});
    }
}
