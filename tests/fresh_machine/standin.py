"""A stand-in for all that a machine without any setting sees of the outside: package registries, on loopback.

It is an HTTPS proxy that plays every host itself, under certificates of its own, and tells them apart by path only:
/simple/ is the registry that everybody has, /whl/cpu/ PyTorch's own index for the CPU (the simple API, PEP 503, with
metadata beside the files, PEP 658). So pip and uv can be run with no index, folder or mirror given: what they ask for
is what they would ask for anywhere.
"""

import contextlib
import hashlib
import html
import ssl
import subprocess
import tempfile
import threading
import zipfile
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from avatarmake.environments.pins import plain

REGISTRY, PYTORCH = "/simple/", "/whl/cpu/"


class Standin(ThreadingHTTPServer):
    """`shelves`: path of an index -> its wheels and source archives. `asked`: what was fetched. A context manager."""

    daemon_threads = True

    def __init__(self, shelves: dict[str, list[Path]]):
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.asked: list[str] = []
        self.files = {
            f"{shelf}{plain(wheel.name.split('-')[0])}/{wheel.name}": wheel
            for shelf, wheels in shelves.items()
            for wheel in wheels
        }
        self._scratch = tempfile.TemporaryDirectory()
        self._folder = Path(self._scratch.name)
        self._turn = threading.Lock()
        _openssl("req", "-x509", *NEW_KEY, "-keyout", self._folder / "ca.key", "-out", self.authority, "-days", "2",
                 "-subj", "/CN=stand-in", "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip

    @property
    def authority(self) -> Path:
        return self._folder / "ca.pem"

    def variables(self) -> dict[str, str]:
        """How a process finds it, and nothing else of where packages come from."""
        address = f"http://127.0.0.1:{self.server_port}"
        trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.authority))
        return {"HTTPS_PROXY": address, "https_proxy": address, "PIP_CONFIG_FILE": "/dev/null", **trust}

    def certified(self, host: str) -> ssl.SSLContext:
        """A TLS context that passes for `host`."""
        place = self._folder / f"{host}.pem"
        with self._turn:
            if not place.exists():
                request, names = self._folder / "request", self._folder / "names"
                names.write_text(f"subjectAltName=DNS:{host}\n")
                key = self._folder / f"{host}.key"
                _openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={host}")
                _openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self._folder / "ca.key",
                         "-days", "2", "-CAcreateserial", "-extfile", names, "-out", place)  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place, self._folder / f"{host}.key")
        return context

    def page(self, folder: str) -> str | None:
        """The index's page of a package, or None for one that it does not have."""
        wheels = [(path, wheel) for path, wheel in self.files.items() if path.rpartition("/")[0] + "/" == folder]
        lines = []
        for path, wheel in wheels:
            beside = ' data-dist-info-metadata="true"' if wheel.suffix == ".whl" else ""
            lines.append(f'<a href="{html.escape(path)}#sha256={digest(wheel)}"{beside}>{wheel.name}</a>')
        return "<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>" if lines else None

    def __enter__(self) -> "Standin":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()
        self._scratch.cleanup()


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*words) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@cache
def digest(wheel: Path) -> str:
    with wheel.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as z:
        return z.read(next(name for name in z.namelist() if name.endswith(".dist-info/METADATA")))


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Standin

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        plain_files = self.rfile, self.wfile
        with contextlib.suppress(OSError):  # the other side has seen enough
            with self.server.certified(self.path.split(":")[0]).wrap_socket(self.connection, True) as connection:
                with connection.makefile("rb") as self.rfile, connection.makefile("wb") as self.wfile:
                    self.close_connection = False
                    while not self.close_connection:
                        self.handle_one_request()
        self.rfile, self.wfile = plain_files
        self.close_connection = True

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        self.server.asked.append(path)
        wheel = self.server.files.get(path.removesuffix(".metadata"))
        page = self.server.page(path if path.endswith("/") else path + "/")
        if wheel and path.endswith(".metadata"):
            self._answer(metadata(wheel), "text/plain")
        elif wheel:
            self._send(wheel)
        elif page:
            self._answer(page.encode(), "text/html")
        else:
            self._answer(b"", "text/plain", 404)

    do_HEAD = do_GET

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.wfile.flush()

    def _send(self, wheel: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(wheel.stat().st_size))
        self.end_headers()
        if self.command == "GET":
            with wheel.open("rb") as f:
                while block := f.read(1 << 20):
                    self.wfile.write(block)
        self.wfile.flush()

    def log_message(self, *_) -> None:
        pass
