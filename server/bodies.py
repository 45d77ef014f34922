"""Request bodies within limits: one at a time, and all that are in memory together. ASGI messages in, bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from server.errors import RequestError

BODIES_AT_ONCE = 8
"""All bodies that are being read or worked on may take as much as this number of the largest ones."""


class Bodies:
    """Reads bodies; each counts until its response is sent."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._max_held_bytes = BODIES_AT_ONCE * max_body_bytes
        self.held_bytes = 0
        self.turn = CapacityLimiter(1)  # of large bodies

    @asynccontextmanager
    async def read(self, scope: Scope, receive: Receive) -> AsyncIterator[bytes]:
        """Raises RequestError for too much, ClientDisconnect when the sender leaves before the end."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body_bytes:
                raise self._too_large(f"{int(value):,} bytes")
        chunks: list[bytes] = []
        length, is_complete = 0, False
        try:
            while not is_complete:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk: bytes = message.get("body", b"")
                chunks.append(chunk)
                length += len(chunk)
                self.held_bytes += len(chunk)
                if length > self._max_body_bytes:
                    raise self._too_large(f"more than {self._max_body_bytes:,} bytes")
                if self.held_bytes > self._max_held_bytes:
                    raise RequestError(
                        503,
                        f"Requests of more than {self._max_held_bytes:,} bytes are being worked on; "
                        "expected fewer at a time: send this one again later.",
                    )
                is_complete = not message.get("more_body", False)
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self.held_bytes -= length

    def _too_large(self, found: str) -> RequestError:
        return RequestError(
            413,
            f"The body has {found}; expected at most {self._max_body_bytes:,} bytes: send fewer rows at a time "
            "or start the server with a larger --max-body-mb.",
        )
