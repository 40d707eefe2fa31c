/**
 * The name and version of the server.
 * @returns {Promise<{name: string, version: string}>}
 */
export async function readAbout() {
  const reply = await fetch('./', { headers: { accept: 'application/json' } });
  if (!reply.ok) throw new Error(`${reply.status}`);
  return reply.json();
}
