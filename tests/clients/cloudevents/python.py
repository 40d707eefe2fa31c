"""Sends events with cloudevents for Python: `python.py binary|structured|batch`."""

import sys

import requests
from client import events, key, mark, url
from cloudevents.v1.http import CloudEvent, to_binary, to_structured


def event():
    attributes = {"type": "com.shop.clicked", "source": "/shop", "subject": "button 1", "mode": "test"}
    return CloudEvent(attributes, {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": {"list": [1, 2.5]}})


def post(headers, body):
    try:
        requests.post(f"{url}/cloudevents", data=body, headers={**headers, "x-ingest-key": key}, timeout=3).raise_for_status()
    except requests.RequestException as error:
        print(error, file=sys.stderr)


if sys.argv[1] == "batch":
    import json

    for start in range(0, events, 5):
        batch = [json.loads(to_structured(event())[1]) for _ in range(5)]
        post({"content-type": "application/cloudevents-batch+json"}, json.dumps(batch))
else:
    pack = to_binary if sys.argv[1] == "binary" else to_structured
    for _ in range(events):
        post(*pack(event()))
