"""A web server on loopback that misbehaves as it is told, and a manifest whose files it has."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from avatarmake import assets
from avatarmake.assets import download, pins, web


@dataclass
class Page:
    """What the server does for one path. Lists are used up: one entry for each request, then the normal answer."""

    body: bytes = b""
    etag: str = '"1"'
    modified: str = ""
    type: str = "application/octet-stream"
    ranges: bool = True
    heeds_if_range: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes of the answer after which the connection ends
    stalls: list[float] = field(default_factory=list)  # seconds of silence in the middle of the answer
    statuses: list[int] = field(default_factory=list)  # answered in place of the file
    redirect: tuple[int, str] | None = None
    account: dict[str, str] | None = None  # wants this POSTed; else a web page, with 200
    pause: float = 0.0  # seconds after each kilobyte


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Site(ThreadingHTTPServer):
    """`pages` by path; `seen`: every request in order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.seen: list[Request] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str, name: str = "127.0.0.1") -> str:
        return f"http://{name}:{self.server_port}{path}"

    def add(self, path: str, body: bytes = b"", **behaviour) -> str:
        self.pages[path] = Page(body, **behaviour)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(Request(self.command, self.path, dict(self.headers), body))
        page = self.server.pages.get(self.path)
        if page is None:
            return self.send_error(404)
        if page.statuses:
            return self.send_error(page.statuses.pop(0))
        if page.redirect:
            return self.answer(page, page.redirect[0], {"Location": page.redirect[1]}, b"")
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if page.account is not None and given != page.account:
            sorry = b"<!DOCTYPE html><html>Sorry, " + given.get("username", "").encode() + b"</html>"
            return self.answer(page, 200, {"Content-Type": "text/html; charset=utf-8"}, sorry)
        self.send_file(page)

    def send_file(self, page: Page):
        headers = {"Content-Type": page.type}
        headers |= {"ETag": page.etag} if page.etag else {}
        headers |= {"Last-Modified": page.modified} if page.modified else {}
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        fits = condition in (None, page.etag, page.modified) or not page.heeds_if_range
        if not (asked and page.ranges and fits):
            return self.answer(page, 200, headers, page.body)
        first = int(asked.removeprefix("bytes=").rstrip("-"))
        if first >= len(page.body):
            return self.answer(page, 416, {}, b"")
        span = f"bytes {first}-{len(page.body) - 1}/{len(page.body)}"
        self.answer(page, 206, headers | {"Content-Range": span}, page.body[first:])

    def answer(self, page: Page, status: int, headers: dict[str, str], body: bytes):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if page.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end = page.cuts.pop(0) if page.cuts and status in (200, 206) else len(body)
        stall = page.stalls.pop(0) if page.stalls and status in (200, 206) else 0.0
        try:
            for at in range(0, end, 1000 if page.pause or stall else 1 << 20):
                self.wfile.write(body[at : min(at + (1000 if page.pause or stall else 1 << 20), end)])
                time.sleep(stall or page.pause)
                stall = 0.0
        except OSError:
            pass  # the other side gave up, as it should


@pytest.fixture
def site():
    server = Site()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No waiting between tries, no proxy, nothing of the developer's own accounts."""
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(web, "TIMEOUT", 5.0)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "FLAME_USERNAME", "FLAME_PASSWORD", "AVATARMAKE_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AVATARMAKE_ACCEPT_LICENCES", raising=False)


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """`catalogue("deca", url=...)` puts an asset into a manifest of the test's own; assets and lock in tmp_path."""
    path = tmp_path / "assets.toml"
    path.touch()
    monkeypatch.setattr(assets, "MANIFEST", path)
    monkeypatch.setattr(pins, "LOCK", tmp_path / "assets.lock")
    monkeypatch.setenv("ASSETS", str(tmp_path / "assets"))

    def add(name: str, **fields) -> None:
        entry = {"file": f"{name}.bin", "purpose": f"{name} for a test", "stages": ["track"], "licence": "none"}
        entry |= {"page": "https://example.org/"} | fields
        lines = [f"{key} = {value!r}" for key, value in entry.items()]
        path.write_text(path.read_text() + f"[{name}]\n" + "\n".join(lines) + "\n")
        assets.manifest.cache_clear()

    yield add
    assets.manifest.cache_clear()
