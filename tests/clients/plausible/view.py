"""Sends events with django-plausible-proxy, as a view does for its visitor."""

import django
from client import events, key, mark, url
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["shop.example"], PLAUSIBLE_BASE_URL=f"{url}/k/{key}", PLAUSIBLE_DOMAIN="shop.example", PLAUSIBLE_REQUEST_TIMEOUT=3
)
django.setup()

import requests
from django.test import RequestFactory
from plausible_proxy import send_custom_event

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
visit = RequestFactory(headers={"host": "shop.example", "user-agent": BROWSER}).get("/cart", REMOTE_ADDR="203.0.113.7")


def sent(name, **values):
    try:
        send_custom_event(visit, name, **values)
    except requests.RequestException as error:  # It is lost.
        print("lost:", type(error).__name__)


sent("pageview")
for _ in range(events):
    sent("clicked", props={"marker": mark(), "text": "Ünïcode 😀 \u2028"})
