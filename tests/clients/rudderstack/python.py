"""Sends events of each kind with rudder-sdk-python."""

import os

from calls import send
from client import key, url
from rudderstack.analytics import Client

client = Client(key, host=url, gzip=os.environ.get("GZIP") != "0", upload_size=20, timeout=3, max_retries=5)
send(client)
