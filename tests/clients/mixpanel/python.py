"""Sends events of each kind with mixpanel."""

import os

from client import events, fault, key, mark, url
from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException

urls = [f"{url}/{name}" for name in ("track", "engage", "import")]
settings = {"request_timeout": 3, "groups_url": f"{url}/groups"}
buffered = "BUFFERED" in os.environ
consumer = BufferedConsumer(50, *urls, **settings) if buffered else Consumer(*urls, **settings)
# It repeats requests over https only; here is no certificate.
session = (consumer._consumer if buffered else consumer)._session
session.mount("http://", session.get_adapter("https://"))
client = Mixpanel(key, consumer)
user = "user-1"


def call(method, *args):
    """Without faults it must succeed; an error says that it gave up."""
    try:
        method(*args)
    except MixpanelException:
        if fault == "none":
            raise


for _ in range(events):
    nested = {"list": [1, 2.5, None, {"deep": True}]}
    call(client.track, user, "clicked", {"marker": mark(), "text": "Ünïcode 😀 \u2028", "nested": nested})
call(client.import_data, key, user, "imported", 1795168800, {"marker": mark()})
call(client.people_set, user, {"plan": "pro", "marker": mark()})
call(client.people_increment, user, {mark(): 1})
call(client.group_set, "company", "acme", {"marker": mark()})
if buffered:
    call(consumer.flush)
