"""Sends events of each kind with sentry-sdk, some of them on exit."""

import logging
import os

import sentry_sdk
from client import events, key, mark, url
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations.logging import LoggingIntegration

sentry_sdk.init(
    dsn=url.replace("://", f"://{key}@") + "/1",
    environment="production",
    release="shop@1.2.0",
    enable_logs=True,
    # By default a record of `logging` is a log too, beside the event that it is from ERROR on.
    integrations=[LoggingIntegration(sentry_logs_level=None)],
    # It takes brotli where the package is installed, as it is here, and gzip where it is not.
    _experiments={"transport_compression_algo": os.environ["PACKED"]} if "PACKED" in os.environ else {},
    shutdown_timeout=60,
)
sentry_sdk.set_user({"id": "user-1", "email": "ann@example.org", "ip_address": "203.0.113.7"})
sentry_sdk.set_tag("plan", "pro")

for _ in range(events):
    with sentry_sdk.new_scope() as scope:
        scope.set_extra("text", "Ünïcode 😀 \u2028")
        scope.set_extra("nested", {"list": [1, 2.5, None, {"deep": True}]})
        sentry_sdk.capture_message(f"clicked {mark()}", level="info")


def fail():
    try:
        raise LookupError("the cause")
    except LookupError as cause:
        raise ValueError(mark()) from cause


try:
    fail()
except ValueError as error:
    sentry_sdk.capture_exception(error)
logging.getLogger("shop").error("user %s is late", mark())
capture_checkin(monitor_slug=f"backup-{mark()}", status="error", duration=1.5)
for level in ["trace", "debug", "info", "warning", "error", "fatal"]:
    getattr(sentry_sdk.logger, level)("logged {mark}", mark=mark(), attributes={"half": 0.5})
# What is left goes on exit.
