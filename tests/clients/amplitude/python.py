"""Sends events of each kind with amplitude-analytics."""

import time

from amplitude import Amplitude, BaseEvent, EventOptions, Identify
from client import events, key, mark, url

done = []
client = Amplitude(key)
client.configuration.server_url = f"{url}/2/httpapi"
client.configuration.flush_queue_size = 20
client.configuration.flush_interval_millis = 200
client.configuration.callback = lambda event, code, message=None: done.append(code)

who = {"user_id": "user-1", "device_id": "device-1"}
for _ in range(events):
    properties = {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": {"list": [1, 2.5]}}
    client.track(BaseEvent("clicked", event_properties=properties, session_id=1_795_255_700_000, **who))
identity = Identify()
identity.set("marker", mark())
client.identify(identity, EventOptions(**who))
wanted, until = events + 1, time.monotonic() + 60
while len(done) < wanted and time.monotonic() < until:
    client.flush()
    time.sleep(0.2)
client.shutdown()
