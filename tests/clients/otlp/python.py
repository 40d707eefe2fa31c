"""Sends records of each kind with opentelemetry-exporter-otlp-proto-http, configured by the environment alone."""

import logging
import os
import time
import warnings

from client import events, key, mark, url

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer%20{key}"
if "PACKED" in os.environ:
    os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = os.environ["PACKED"]

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

provider = LoggerProvider(Resource.create({"service.name": "shop", "service.version": "1.2.0"}))
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), schedule_delay_millis=200))
api = provider.get_logger("checkout", "3.1")

with warnings.catch_warnings():
    # It moves to a package of its own, unchanged.
    warnings.simplefilter("ignore", DeprecationWarning)
    handler = LoggingHandler(logger_provider=provider)
logger = logging.getLogger("checkout")
logger.setLevel(logging.DEBUG)
logger.addHandler(handler)
logger.propagate = False

attributes = {"user.id": "user-1", "session.id": "session-1", "text": "Ünïcode 😀 \u2028", "half": 0.5, "yes": True}
for _ in range(events):
    logger.info("clicked %s", mark(), extra=attributes)
for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]:
    api.emit(LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber[level], severity_text=level, body=f"level {mark()}"))
nested = {"list": [1, 2.5, "three"], "deep": {"true": True}}
api.emit(LogRecord(timestamp=time.time_ns(), event_name="checkout.finished", attributes={"mark": mark(), "nested": nested}))
api.emit(LogRecord(timestamp=time.time_ns(), body={"mark": mark(), "numbers": [1, 2]}, attributes={"nested": nested}))
api.emit(LogRecord(timestamp=time.time_ns(), body=f"large {mark()} " + "Ünïcode 😀 " * 1000))
span = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False, TraceFlags(1))
within = set_span_in_context(NonRecordingSpan(span))
api.emit(LogRecord(timestamp=time.time_ns(), context=within, body=f"traced {mark()}"))


def fail():
    raise ValueError(mark())


try:
    fail()
except ValueError:
    logger.exception("it failed")
provider.shutdown()
