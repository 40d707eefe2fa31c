"""The calls of libraries that speak Segment's protocol, the same for each of them: events of each kind."""

import traceback

from client import events, mark


def send(client):
    user = "user-1"
    for _ in range(events):
        properties = {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": {"list": [1, 2.5, None, {"deep": True}]}}
        client.track(user, "clicked", properties)
    client.identify(user, {"marker": mark(), "plan": "pro"})
    client.group(user, "acme", {"marker": mark()})
    client.page(user, "shop", "Checkout", {"marker": mark()})
    client.screen(user, "shop", "Checkout", {"marker": mark()})
    client.alias(mark(), user)
    try:
        _fail()
    except ValueError as error:
        client.track(user, "error", {"message": str(error), "stack": traceback.format_exc()})
    client.shutdown()


def _fail():
    raise ValueError(mark())
