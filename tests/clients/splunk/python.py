"""Sends records with splunk_handler."""

import logging
from urllib.parse import urlsplit

from client import events, key, mark, url
from splunk_handler import SplunkHandler

address = urlsplit(url)
handler = SplunkHandler(
    host=address.hostname,
    port=address.port,
    token=key,
    index="main",
    protocol="http",
    verify=False,
    source="checkout",
    sourcetype="shop",
    hostname="web-1",
    flush_interval=0.2,
    retry_backoff=0.1,
    timeout=3,
)
logger = logging.getLogger("checkout")
logger.setLevel(logging.DEBUG)
logger.addHandler(handler)

handler.setFormatter(logging.Formatter('{"message": "%(message)s", "level": "%(levelname)s", "logger": "%(name)s"}'))
for _ in range(events):
    logger.warning("clicked %s", mark())
handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
logger.error("text %s", mark())
handler.shutdown()
