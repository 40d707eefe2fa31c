"""Sends events of each kind with posthog."""

import os

from client import events, key, mark, url
from posthog import Posthog

client = Posthog(
    key,
    host=url,
    flush_at=20,
    flush_interval=0.2,
    gzip="GZIP" in os.environ,
    timeout=3,
    max_retries=5,
)
user = "user-1"

for _ in range(events):
    properties = {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": {"list": [1, 2.5, None, {"deep": True}]}}
    client.capture("clicked", distinct_id=user, properties=properties)
client.capture("anonymous", distinct_id="somebody", properties={"marker": mark(), "$process_person_profile": False})
client.capture("$identify", distinct_id=user, properties={"marker": mark(), "$set": {"plan": "pro"}})
client.group_identify("company", "acme", {"marker": mark()}, distinct_id=user)


def fail():
    raise ValueError(mark())


try:
    fail()
except ValueError as error:
    client.capture_exception(error, distinct_id=user)
client.capture("$ai_generation", distinct_id=user, properties={"marker": mark(), "$ai_model": "m", "$ai_input": "a" * 1000})
client.shutdown()
