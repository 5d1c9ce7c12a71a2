"""A server in a container: what comes to a port of this machine is handed on to it through a socket in a folder.

So the container has no network, as all others; and who may come in is for this machine's own loopback to say.
"""

import asyncio
import contextlib
import errno
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from docker.types import Mount

from avatarmake.engine import running
from avatarmake.engine.request import Request
from avatarmake.errors import Exit, StageError

HOST = "127.0.0.1"
AT_ONCE = 1 << 20  # bytes
INSIDE = Path("/socket/server")  # where the container sees it


def serve(request: Request, environment: dict) -> int:
    """Run a server (its config has `port` and `socket`) in its image until it is stopped; returns its exit code."""
    with listening(request.config.port) as port, tempfile.TemporaryDirectory(prefix="avatarmake-") as folder:
        own = port.getsockname()[1]
        asked = replace(request, config=replace(request.config, port=own, socket=INSIDE))
        with handed_on(port, Path(folder) / INSIDE.name):
            return running.run(asked, environment, mounts=[Mount(str(INSIDE.parent), folder, type="bind")])


def listening(port: int) -> socket.socket:
    """A port of this machine alone; 0: any that is free. Raises StageError where it cannot be had."""
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
        made.listen()
    except OSError as e:
        made.close()
        if e.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise StageError(f"port {port} cannot be had: {e.strerror}", next="Leave it out", exit=Exit.ENVIRONMENT) from e
    return made


@contextlib.contextmanager
def handed_on(port: socket.socket, path: Path) -> Iterator[None]:
    """Whoever comes to `port` talks to the socket at `path`, while this lasts; where nobody listens, to nobody."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, port, path), daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, port: socket.socket, path: Path) -> None:
    """A thread of its own, until the loop is stopped; what is still open is closed with it."""

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, theirs[1]), _pass_on(theirs[0], writer))

    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(asyncio.start_server(come, sock=port))
    loop.run_forever()
    server.close()
    open_still = asyncio.all_tasks(loop)
    for task in open_still:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*open_still, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(AT_ONCE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
