"""The page and its socket, for this machine alone: 127.0.0.1, a random token in the address, no other origin.

    GET /TOKEN/         the page
    GET /TOKEN/socket   a WebSocket: frames (session.frame), "record", "stop" in; JSON, and a recording's bytes, out

Whoever does not know the address gets nothing, nor another site in the same browser that does.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from stages.live.session import LARGEST, Session

HOST = "127.0.0.1"
KEPT_TO_ITSELF = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Live:
    """`page(port)` is the page's text, `session()` one camera's work."""

    def __init__(self, page: Callable[[int], str], session: Callable[[], Session]):
        self._page, self._session = page, session
        self.token = secrets.token_urlsafe(16)
        self.port = 0
        self.patience = 5.0  # seconds: a page that is loaded again comes before its last socket has gone
        self._busy = asyncio.Lock()  # one camera at a time

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/{self.token}/"

    async def open(self, port: int = 0, socket: Path | None = None) -> Server:
        """Listens: on a port, or on a socket's file where another process hands on what comes to that port. Raises
        OSError where it is taken."""
        settings = {"process_request": self._answer, "max_size": LARGEST, "compression": None}
        if socket:
            self.port = port
            return await unix_serve(self._serve, str(socket), **settings)
        server = await serve(self._serve, HOST, port, **settings)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The page, nothing that is not asked by the page itself, or None: the socket goes on."""
        own = f"{HOST}:{self.port}"
        if request.headers.get("Host") != own or request.headers.get("Origin", f"http://{own}") != f"http://{own}":
            return _response(HTTPStatus.FORBIDDEN, "This page is for the machine that it runs on.\n")
        given, _, rest = request.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(given.encode(), self.token.encode()) or rest not in ("", "socket"):
            return _response(HTTPStatus.NOT_FOUND, "There is no such page. The whole address was printed.\n")
        if rest == "socket":
            return None if "Origin" in request.headers else _response(HTTPStatus.FORBIDDEN, "Only the page asks.\n")
        return _response(HTTPStatus.OK, self._page(self.port), "text/html; charset=utf-8")

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await asyncio.wait_for(self._busy.acquire(), self.patience)
        except TimeoutError:
            await connection.close(1013, "another page has the camera")
            return
        try:
            with ThreadPoolExecutor(1) as worker:
                await self._follow(connection, worker)
        finally:
            self._busy.release()

    async def _follow(self, connection: ServerConnection, worker: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        session = await loop.run_in_executor(worker, self._session)
        try:
            async for message in connection:
                if message == "record":
                    session.record()
                elif message == "stop":
                    await connection.send(await loop.run_in_executor(worker, session.recording) or b"")
                elif isinstance(message, bytes):
                    began = loop.time()
                    told = await loop.run_in_executor(worker, session.see, message)
                    told["took"] = round(1000 * (loop.time() - began), 1)
                    await connection.send(json.dumps(told))
        except ConnectionClosed:
            pass
        except ValueError as e:
            await connection.close(1003, str(e)[:100])
        finally:
            await loop.run_in_executor(worker, session.close)


def _response(status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> Response:
    body = text.encode()
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **KEPT_TO_ITSELF}
    return Response(status, status.phrase, Headers(headers), body)
