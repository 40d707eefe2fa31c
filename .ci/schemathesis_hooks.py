"""What schemathesis must be told: media types that it does not know, and times that events may have."""

import datetime
import json

import schemathesis
from hypothesis import strategies

NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
EVER = strategies.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(9999, 12, 31))
LATELY = strategies.datetimes(NOW - datetime.timedelta(days=40), NOW + datetime.timedelta(hours=12))
# Of times of any year most are refused, and nearly none has events.
TIMES = strategies.one_of(LATELY, LATELY, LATELY, EVER)

schemathesis.openapi.format("date-time", TIMES.map(lambda at: at.isoformat() + "Z"))
schemathesis.openapi.format("date", TIMES.map(lambda at: at.date().isoformat()))


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """Described as the list of its lines; what is no list, as bad data may be, is a line by itself."""
    if isinstance(value, bytes):
        return value
    return "\n".join(json.dumps(line) for line in (value if isinstance(value, list) else [value])).encode()


@schemathesis.deserializer("image/png", "image/jpeg")
def picture(ctx, response):
    """Only told by its first bytes."""
    begins = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8"}
    media_type = response.headers["content-type"][0]
    if not response.content.startswith(begins[media_type]):
        raise ValueError(f"not {media_type}")
    return ""
