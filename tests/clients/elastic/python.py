"""Sends documents with the bulk helper of elasticsearch, and one by itself."""

import datetime
import sys

from client import events, key, mark, url
from elasticsearch import Elasticsearch, helpers

client = Elasticsearch(f"{url}/es", api_key=key, max_retries=5, request_timeout=3, retry_on_timeout=True)


def document():
    return {
        "@timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
        "message": f"clicked {mark()}",
        "log": {"level": "warn"},
        "service": {"name": "shop"},
        "text": "Ünïcode 😀 \u2028",
    }


for start in range(0, events, 20):
    actions = [{"_op_type": "create", "_index": "logs-shop", **document()} for _ in range(min(20, events - start))]
    try:
        helpers.bulk(client, actions, max_retries=5, initial_backoff=0.2)
    except Exception as error:
        print(error, file=sys.stderr)
try:
    client.index(index="logs-shop", document=document())
except Exception as error:
    print(error, file=sys.stderr)
