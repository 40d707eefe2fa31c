"""Sends lines with python-logging-loki or loki-logger-handler: `python.py logging-loki|logger-handler`."""

import logging
import sys

from client import events, key, mark, url

logging.raiseExceptions = False
push, labels = f"{url}/loki/api/v1/push", {"app": "shop", "env": 'a"b\\c'}
if sys.argv[1] == "logging-loki":
    from logging_loki import LokiHandler

    handler = LokiHandler(url=push, tags=labels, auth=("shop", key), version="1")
    handler.setFormatter(logging.Formatter('{"message": "%(message)s", "took": 1.5}'))
else:
    from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

    handler = LokiLoggerHandler(url=push, labels=labels, auth=("shop", key), timeout=1)

logger = logging.getLogger("checkout")
logger.setLevel(logging.DEBUG)
logger.addHandler(handler)
for _ in range(events):
    logger.warning("clicked %s", mark())
logger.error("text %s", mark())
