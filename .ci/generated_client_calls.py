"""The calls of .ci/generated-clients with the generated Python client: URL and admin's password are its arguments."""

import sys
from datetime import datetime, timedelta, timezone

from tally_client import AuthenticatedClient, Client
from tally_client.api.apps import change_app, erase_event, list_keys, make_app, make_key, read_app, sign_in
from tally_client.api.counts import count_by_level, count_in_buckets, report_day, top_messages
from tally_client.api.reading_events import list_events, read_event
from tally_client.api.sending_events import count, send_events
from tally_client.models import (
    App,
    Batch,
    ChangeAppBody,
    CountInBucketsFill,
    CountInBucketsInterval,
    Event,
    EventInput,
    EventPage,
    Key,
    Keys,
    Level,
    LevelCounts,
    ListEventsOrder,
    MakeAppBody,
    MakeKeyBody,
    Problem,
    Report,
    Scope,
    SignedIn,
    SignInBodyType0,
    Timeseries,
    TopMessages,
)


calls = 0


def call(expected, operation, *arguments, status=None, **named):
    """Makes a call, whose reply must be of a type; a type that is None has no body."""
    global calls
    reply = operation.sync_detailed(*arguments, **named)
    calls += 1
    kind = type(None) if expected is None else expected
    assert type(reply.parsed) is kind, f"{operation.__name__}: {reply.status_code} {reply.content}"
    assert status is None or reply.status_code == status, f"{operation.__name__}: {reply.status_code} {reply.content}"
    return reply.parsed


def main():
    url, password = sys.argv[1:]
    now = datetime.now(timezone.utc)
    before = now - timedelta(minutes=1)

    anybody = Client(base_url=url)
    body = SignInBodyType0(username="admin", password=password)
    signed_in = call(SignedIn, sign_in, client=anybody, body=body)
    assert signed_in.expires_at > now
    admin = AuthenticatedClient(base_url=url, token=signed_in.token)

    app = call(App, make_app, client=admin, body=MakeAppBody(name="Python"), status=201).id
    assert call(App, read_app, app, client=admin).retention_days is None
    changed = call(App, change_app, app, client=admin, body=ChangeAppBody(events_per_minute=1000))
    assert changed.events_per_minute == 1000

    key = call(Key, make_key, app, client=admin, body=MakeKeyBody(scopes=[Scope.INGEST, Scope.READ]), status=201)
    assert key.scopes == [Scope.INGEST, Scope.READ] and key.key.startswith("tly_")
    assert key.id in [listed.id for listed in call(Keys, list_keys, app, client=admin).items]
    sender = AuthenticatedClient(base_url=url, token=key.key, prefix="", auth_header_name="X-Ingest-Key")
    reader = AuthenticatedClient(base_url=url, token=key.key, prefix="", auth_header_name="X-Read-Key")

    one = EventInput(name="started", level="info", timestamp=before, data={"plan": "pro"})
    stored = call(Event, send_events, app, client=sender, body=one, status=201)
    assert (stored.level, stored.data, stored.timestamp) == (Level.INFO, {"plan": "pro"}, before)
    failed = EventInput(name="failed", message="boom", level="ERROR", timestamp=now - timedelta(seconds=30))
    two = [failed, EventInput(name="plain")]
    assert call(Batch, send_events, app, client=sender, body=two, status=201).accepted == 2
    some = call(Batch, send_events, app, client=sender, body=[*two, EventInput(name="")], status=207)
    assert (some.accepted, some.ids[2], [rejected.index for rejected in some.rejected]) == (2, None, [2])
    problem = call(Problem, send_events, app, client=sender, body=EventInput(name="late", level="loud"), status=400)
    assert [error.field for error in problem.errors] == ["level"]
    counted = call(Event, count, app, "started", client=sender, status=201)
    assert counted.name == "started"

    order = ListEventsOrder.ASC
    page = call(EventPage, list_events, app, client=reader, since=before, order=order, limit=2, consistent=True)
    assert [event.level for event in page.items] == [Level.INFO, Level.ERROR] and page.next_
    rest = call(EventPage, list_events, app, client=reader, cursor=page.next_, limit=10)
    assert len(rest.items) == 4 and rest.next_ is None
    assert call(Event, read_event, app, stored.id, client=reader) == stored

    # What counters hold may be a moment behind, so only the types are looked at.
    call(LevelCounts, count_by_level, app, client=reader, since=before, until=now + timedelta(minutes=1))
    minute = CountInBucketsInterval.MINUTE
    fill = CountInBucketsFill.ZERO
    series = call(Timeseries, count_in_buckets, app, client=reader, since=before, interval=minute, fill=fill)
    assert 1 < len(series.series) < 5
    report = call(Report, report_day, app, client=reader, date="today", tz="Europe/Berlin")
    assert len(report.series) in (23, 24, 25)
    call(TopMessages, top_messages, app, client=reader, since=before)

    call(None, erase_event, app, stored.id, client=admin, status=204)
    call(Problem, read_event, app, stored.id, client=reader, status=404)
    print(f"Python: {calls} calls")


main()
