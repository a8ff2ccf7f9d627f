"""What stands before all requests: limits of their bodies, and the figures."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from pyg_mmrec.service.metrics import Metrics

_BODY_SECONDS = 10.0  # within which a whole body has to come


class Guard:
    """Reads a body within a limit of bytes and time, and measures the answer.

    Args:
        app: The application behind.
        max_body: Most bytes.
        metrics: Where answers are counted.
    """

    def __init__(self, app: Any, max_body: int, metrics: Metrics) -> None:
        self.app, self.max_body, self.metrics = app, max_body, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An application as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused, body = await self._body(scope, receive)
            if refused is None:
                await self.app(scope, _replayed(body, receive), answer)
            else:
                await _refuse(answer, *refused)
        finally:
            seconds = time.perf_counter() - start
            self.metrics.count(scope["path"], status, seconds)

    async def _body(
        self, scope: Any, receive: Any
    ) -> tuple[tuple[int, str] | None, bytes]:
        """Why the body is refused, if it is, and the body."""
        large = 413, f"a request has {self.max_body:,} bytes at most: ask in parts"
        for name, value in scope["headers"]:
            told = int(value) if value.isdigit() else 0
            if name == b"content-length" and told > self.max_body:
                return large, b""
        body, more, end = b"", True, time.monotonic() + _BODY_SECONDS
        while more:
            try:
                left = max(end - time.monotonic(), 0.0)
                message = await asyncio.wait_for(receive(), left)
            except asyncio.TimeoutError:
                return (408, f"no whole request came in {_BODY_SECONDS:.0f} s"), b""
            if message["type"] == "http.disconnect":
                return (400, "the request ended too early"), b""
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.max_body:
                return large, b""
        return None, body


def _replayed(body: bytes, receive: Any) -> Any:
    """What gives the body at once, then whatever else comes."""
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
