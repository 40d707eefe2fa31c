"""A shop that sends to Tally what its customers do, its errors, and a count."""

import os
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import quote

import httpx
import sentry_sdk
from fastapi import BackgroundTasks, Depends, FastAPI, Header
from sentry_sdk.integrations.logging import LoggingIntegration

URL, KEY, APP = os.environ["TALLY_URL"], os.environ["TALLY_KEY"], os.environ["TALLY_APP"]
GOODS = {"tea": {"price": 3.5}, "coffee": {"price": 4}}

# Tally's address with an ingest key is the DSN: nothing else is different.
sentry_sdk.init(
    dsn=URL.replace("://", f"://{KEY}@") + "/1",
    environment="local",
    enable_logs=True,
    # Not the lines of the web server, which also logs each error that the shop raises.
    integrations=[LoggingIntegration(event_level=None, sentry_logs_level=None)],
)


def count(name: str, n: int) -> None:
    """Adds to a counter of Tally, which needs no library. A shop goes on if that fails."""
    try:
        reply = httpx.post(f"{URL}/apps/{APP}/count/{quote(name)}/{n}", headers={"x-ingest-key": KEY})
        reply.raise_for_status()
    except httpx.HTTPError as error:
        print(f"not counted: {error}")


@asynccontextmanager
async def lifespan(_: FastAPI):
    yield
    # What waits is sent before it ends.
    sentry_sdk.flush(timeout=10)


async def visitor(x_user: Annotated[str, Header()] = "guest", x_session: Annotated[str, Header()] = "") -> None:
    """Who it is. A real shop knows that by its sign-in; here the client says it. Sentry keeps it for this request."""
    sentry_sdk.set_user({"id": x_user})
    sentry_sdk.set_tag("session", x_session)
    # Logs have neither, unless they are told.
    sentry_sdk.set_attributes({"user.id": x_user, "session.id": x_session})


app = FastAPI(title="Shop", lifespan=lifespan, dependencies=[Depends(visitor)])


@app.get("/")
async def goods():
    sentry_sdk.logger.info("{n} goods listed", n=len(GOODS))
    return GOODS


@app.post("/orders/{item}", status_code=201)
async def order(item: str, background: BackgroundTasks, amount: int = 1):
    # A bug: it raises where there is no such item. The error goes to Tally with its stack, and becomes an issue.
    total = GOODS[item]["price"] * amount
    sentry_sdk.logger.info("{amount} × {item} ordered", amount=amount, item=item, attributes={"total": total})
    background.add_task(count, "items sold", amount)
    return {"item": item, "amount": amount, "total": total}
