"""Sends events of each kind with segment-analytics-python."""

import os

from calls import send
from client import key, url
from segment.analytics import Client

client = Client(key, host=url, gzip="GZIP" in os.environ, upload_size=20, timeout=3, max_retries=5)
send(client)
