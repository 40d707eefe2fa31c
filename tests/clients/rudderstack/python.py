"""Sends events of each kind with rudder-sdk-python."""

import os
import traceback

from client import events, key, mark, url
from rudderstack.analytics import Client

client = Client(key, host=url, gzip=os.environ.get("GZIP") != "0", upload_size=20, timeout=3, max_retries=5)
user = "user-1"

for _ in range(events):
    properties = {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": {"list": [1, 2.5, None, {"deep": True}]}}
    client.track(user, "clicked", properties)
client.identify(user, {"marker": mark(), "plan": "pro"})
client.group(user, "acme", {"marker": mark()})
client.page(user, "shop", "Checkout", {"marker": mark()})
client.screen(user, "shop", "Checkout", {"marker": mark()})
client.alias(mark(), user)


def fail():
    raise ValueError(mark())


try:
    fail()
except ValueError as error:
    client.track(user, "error", {"message": str(error), "stack": traceback.format_exc()})
client.shutdown()
