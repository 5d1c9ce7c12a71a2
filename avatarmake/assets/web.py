"""One request: opened safely, and what goes wrong with it in plain words. Standard library only.

Certificates are always verified. An account is POSTed over https to the host it was meant for, and to no other.
"""

import contextlib
import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from avatarmake.errors import Exit, StageError

TIMEOUT = 60.0  # seconds without a byte
LOOPBACK = ("127.0.0.1", "localhost", "::1")
REFUSED = {401: "it asks for an account", 403: "it refuses access", 404: "there is no such file", 410: "it is gone"}


class Cut(Exception):
    """The transfer broke off, or the server is busy: worth another try. `wait`: seconds that the server asked for."""

    def __init__(self, why: str, wait: float = 0.0):
        super().__init__(why)
        self.wait = wait


class Changed(Cut):
    """The server has other bytes than those that an earlier try left."""


@dataclass(frozen=True)
class Form:
    """What is POSTed: an account. It shows neither in repr() nor in any message."""

    fields: dict[str, str]

    def __repr__(self) -> str:
        return "Form(...)"


def open(url: str, headers: dict[str, str], form: Form | None = None) -> HTTPResponse:
    """The answer (200 or 206) to a GET, or to a POST of `form`. Raises Cut, Changed, StageError."""
    parts = urlsplit(url)
    if parts.scheme != "https" and (form or parts.scheme != "http") and parts.hostname not in LOOPBACK:
        raise StageError("an account is sent over https only" if form else "is no web address", url, exit=Exit.USAGE)
    data = urlencode(form.fields).encode() if form else None
    request = urllib.request.Request(url, data, {"User-Agent": "avatarmake", "Accept-Encoding": "identity"} | headers)
    trust = _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"))
    opener = urllib.request.build_opener(_Redirects(), urllib.request.HTTPSHandler(context=trust))
    try:
        with plain(url):
            return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        e.close()
        raise _refusal(e.code, e.headers.get("Retry-After", ""), url, form) from None


def refuse_page(url: str, form: Form | None) -> StageError:
    """What to say of a web page that came in place of a file: servers do that with 200 and all."""
    if form:
        what = "the account was not accepted: name or password is wrong, or it has not agreed to this licence there"
        return StageError(what, host_of(url), "Try it in a browser", Exit.MISSING_ASSET)
    what = "a web page came in place of the file (a quota, a sign-in, a notice)"
    return StageError(what, host_of(url), "Try again later", Exit.MISSING_ASSET)


def host_of(url: str) -> str:
    """What of a URL may be shown: redirects can carry tokens."""
    return urlsplit(url).hostname or url


@contextlib.contextmanager
def plain(url: str):
    """Faults of the network in plain words: Cut where another try may help, StageError where it will not."""
    name = host_of(url)
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        if isinstance(reason, socket.gaierror):
            next = "Is there a network? Behind a proxy: https_proxy=..."
            raise StageError("this host's name cannot be resolved", name, next, Exit.ENVIRONMENT) from None
        if isinstance(reason, ssl.SSLCertVerificationError):
            what = f"its certificate is not trusted ({reason.verify_message})"
            next = "Behind a proxy that has its own: SSL_CERT_FILE=<its CA bundle>"
            raise StageError(what, name, next, Exit.ENVIRONMENT) from None
        if isinstance(reason, TimeoutError):
            raise Cut(f"{name} sent nothing for {TIMEOUT:g} s") from None
        network = isinstance(reason, ConnectionError | ssl.SSLError | http.client.HTTPException)
        if not network and not isinstance(e, urllib.error.URLError):
            raise  # the disk's, not the network's
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
        raise Cut(f"the transfer from {name} was cut ({text})") from None


def _refusal(code: int, wait: str, url: str, form: Form | None) -> Exception:
    if code == 416:
        return Changed("the file has changed")  # asked for what is beyond its end
    if code in (408, 425, 429) or code >= 500:
        return Cut(f"{host_of(url)} is busy (HTTP {code})", float(wait) if wait.isdigit() else 0.0)
    if form and code in (401, 403):
        return refuse_page(url, form)
    return StageError(f"{REFUSED.get(code, 'it answers with an error')} (HTTP {code})", url, "", Exit.MISSING_ASSET)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, and an account never goes to another host."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            what = f"it redirects to {new.scheme}://, which is not safe"
            raise StageError(what, host_of(req.full_url), "", Exit.MISSING_ASSET)
        if req.data is None or code not in (307, 308):
            return super().redirect_request(req, fp, code, msg, headers, newurl)  # a POST goes on as a GET without data
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            what = f"it wants the account sent on to {new.netloc}, which was not asked for"
            raise StageError(what, host_of(req.full_url), "", Exit.MISSING_ASSET)
        return urllib.request.Request(newurl, req.data, req.headers)


@cache
def _trust(own: str | None, more: str | None) -> ssl.SSLContext:
    """The system's certificates, or those of `own` (OpenSSL reads that variable itself), and the bundle `more`."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not (own or more or paths.cafile or paths.capath):
        import certifi  # for a Python that knows no certificates of the system

        more = certifi.where()
    if more and Path(more).exists():
        context.load_verify_locations(**{"capath" if Path(more).is_dir() else "cafile": more})
    return context
