"""Limits: how large a body may be, and how often a token may ask."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from taxomind_app.api.errors import TooManyRequests

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from taxomind_resources.settings import ServiceSettings

_MOST_TOKENS: Final = 10_000


class Rates:
    """A bucket per token that fills evenly: one for requests that start work, one for those that only read.

    Args:
        service: `requests_per_minute` and `reads_per_minute`.
    """

    def __init__(self, service: ServiceSettings) -> None:
        self._per_minute = {False: service.requests_per_minute, True: service.reads_per_minute}
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, bool], tuple[float, float]] = OrderedDict()

    def check(self, token: str, *, reads: bool) -> None:
        """Count one request.

        Raises:
            Fault: `rate_limited`.
        """
        most, now = self._per_minute[reads], time.monotonic()
        with self._lock:
            left, since = self._buckets.pop((token, reads), (float(most), now))
            left = min(most, left + (now - since) * most / 60)
            allowed = left >= 1
            self._buckets[token, reads] = (left - 1 if allowed else left, now)
            if len(self._buckets) > _MOST_TOKENS:
                self._buckets.popitem(last=False)
        if not allowed:
            what = "reads" if reads else "requests"
            raise TooManyRequests(math.ceil((1 - left) * 60 / most), f"{most:,} {what} in a minute")


class BodyLimit:
    """Refuses bodies over a limit, by what their header says and by what is read.

    Args:
        app: the application.
        most: bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        read = 0
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        is_over = stated.isdigit() and int(stated) > self.most

        async def counted() -> Message:
            nonlocal read
            # Refused where it is read, so that the answer has the shape of the route.
            if is_over:
                raise self._refusal(int(stated))
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                raise self._refusal(read)
            return message

        await self.app(scope, counted, send)

    def _refusal(self, size: int) -> HTTPException:
        text = f"The body has {size:,} bytes or more; service.max_body_bytes allows {self.most:,}."
        return HTTPException(413, text, {"Connection": "close"})


class PlainPaths:
    """Answers a path with a slash at its end as the one without, without a redirect.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self.app(scope, receive, send)
