"""Sends events with aptabase."""

import asyncio

from aptabase import Aptabase
from client import events, key, mark, url


async def main():
    client = Aptabase(f"A-SH-{key}", base_url=url, app_version="1.2.0", max_batch_size=10, flush_interval=0.2, timeout=3)
    async with client:
        for _ in range(events):
            await client.track("clicked", {"marker": mark(), "text": "Ünïcode 😀 \u2028"})
        # What was refused goes back into its queue.
        for _ in range(100):
            await client.flush()
            if not client._event_queue:
                break
            await asyncio.sleep(0.2)


asyncio.run(main())
