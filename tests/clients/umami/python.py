"""Sends events with umami-analytics."""

import umami
from client import events, key, mark, url

umami.set_url_base(f"{url}/k/{key}")
umami.set_website_id("shop")
umami.set_hostname("shop.example")


def sent(call, **values):
    try:
        call(**values, url="/cart", ip_address="203.0.113.7")
    except Exception as error:  # It is lost.
        print("lost:", type(error).__name__)


sent(umami.new_page_view, page_title="Cart", referrer="https://example.org/")
for _ in range(events):
    sent(umami.new_event, event_name="clicked", custom_data={"marker": mark(), "text": "Ünïcode 😀 \u2028"})
