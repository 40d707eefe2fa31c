"""What a client script in Python begins with: where to send, and a marker for every event that it sends.

    from client import events, key, mark, url
"""

import os

# The base address that the library is given: the proxy.
url = os.environ["CLIENT_URL"]
# The app that it belongs to.
app = os.environ["CLIENT_APP"]
# The ingest key.
key = os.environ["CLIENT_KEY"]
# How many events to send of the kind that is sent many times.
events = int(os.environ["CLIENT_EVENTS"])
# The name of the fault.
fault = os.environ["CLIENT_FAULT"]

_marked = 0


def mark():
    """A text that one event must carry unchanged, anywhere in it."""
    global _marked
    _marked += 1
    marker = f"{os.environ['CLIENT_MARKER']}-{_marked:05}"
    print("sent", marker, flush=True)
    return marker
