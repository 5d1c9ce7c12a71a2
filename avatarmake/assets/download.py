"""One transfer: the bytes of a URL into a file, gone on with where an earlier try was cut.

Beside `part` lies `part`.json: what the server said of the bytes so far. A later try asks for the rest of just those
(Range with If-Range); where the server has others by now, or cannot do ranges, it starts over.
"""

import contextlib
import errno
import json
import time
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from avatarmake import host
from avatarmake.assets import web
from avatarmake.assets.meter import Meter
from avatarmake.assets.web import Changed, Cut, Form
from avatarmake.errors import Exit, StageError

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each further try; after one that got on they begin anew
PROGRESS = 1 << 20  # bytes that count as getting on
SPARE = 64 << 20  # bytes that are left free on the disk
CHUNK = 1 << 18


@dataclass(frozen=True)
class Held:
    """What an earlier try left: bytes, the validator for If-Range (may be empty), how many it shall be (if known)."""

    size: int = 0
    validator: str = ""
    total: int | None = None


def download(url: str, part: Path, meter: Meter, form: Form | None = None, verified: bool = False) -> bool:
    """Bring the bytes of `url` to `part`. Returns whether they may be of several answers, joined.

    `verified`: the caller knows the digest, so that going on is safe even without a validator of the server's.
    Raises StageError where another try will not help, or all of them failed; `part` then stays for the next run.
    """
    failed = 0
    while True:
        before, joined = _size(part), _held(part, url, verified).size > 0
        try:
            _once(url, part, form, verified, meter)
            return joined
        except Cut as e:
            if isinstance(e, Changed):
                forget(part)
            failed = 1 if _size(part) - before >= PROGRESS else failed + 1
            if failed > len(PAUSES):
                kept = f"{host.size(_size(part))} are kept, and it goes on from there. " if _size(part) else ""
                what = f"{e}, {failed} times in a row"
                raise StageError(what, web.host_of(url), f"{kept}Try again later", Exit.ENVIRONMENT) from None
            meter.say(f"{e}; trying again")
            time.sleep(max(PAUSES[failed - 1], min(e.wait, 60.0)))


def forget(part: Path) -> None:
    """Remove what was got so far."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def need_space(folder: Path, count: int) -> None:
    """Raises StageError unless `count` bytes fit, with some to spare."""
    free = host.disk_free(folder)
    if free < count + SPARE:
        what = f"the disk has {host.size(free)} free, and {host.size(count + SPARE)} are needed"
        raise StageError(what, folder, "Free some, or ASSETS=<a folder on a larger disk>", Exit.ENVIRONMENT)


def _once(url: str, part: Path, form: Form | None, verified: bool, meter: Meter) -> None:
    held = _held(part, url, verified)
    if held.size and held.size == held.total:
        return  # whole already: the run was stopped before it could say so
    headers = {}
    if held.size:
        headers = {"Range": f"bytes={held.size}-"} | ({"If-Range": held.validator} if held.validator else {})
    with web.open(url, headers, form) as response:
        start, total = _span(response, held)
        with web.plain(url):
            block = response.read1(CHUNK)
        if start == 0 and _is_page(response, block):  # before what is held is given up for it
            raise web.refuse_page(url, form)
        need_space(part.parent, (total or 0) - start)
        with _disk(part), part.open("ab" if start else "wb") as f:
            _note(part).write_text(json.dumps({"url": url, "validator": _validator(response), "total": total}))
            meter.start(start, total)
            while block:
                f.write(block)
                meter.advance(len(block))
                with web.plain(url):
                    block = response.read1(CHUNK)
            got = f.tell()
    if total is not None and got != total:  # read1 says nothing where the connection ends too early
        raise Cut(f"the transfer from {web.host_of(url)} was cut at {host.size(got)} of {host.size(total)}")


def _span(response: HTTPResponse, held: Held) -> tuple[int, int | None]:
    """First byte that the answer holds, and how many bytes the file has (None: it does not say)."""
    length = response.headers.get("Content-Length", "")
    if response.status != 206:
        return 0, int(length) if length.isdigit() else None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    same = not held.validator or _validator(response) in ("", held.validator)  # some servers do not heed If-Range
    if unit != "bytes" or span.partition("-")[0] != str(held.size) or not same:
        raise Changed("the file has changed")
    return held.size, int(total) if total.isdigit() else None


def _validator(response: HTTPResponse) -> str:
    """What If-Range takes: a strong ETag, else the time of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _is_page(response: HTTPResponse, block: bytes) -> bool:
    sent_as_page = response.headers.get_content_type() == "text/html"
    return sent_as_page or block.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _held(part: Path, url: str, verified: bool) -> Held:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_note(part).read_text())
        if note["url"] == url and (note["validator"] or verified):
            return Held(_size(part), note["validator"], note["total"])
    return Held()


@contextlib.contextmanager
def _disk(part: Path):
    try:
        yield
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        next = f"{host.size(_size(part))} are kept: free some space, and it goes on from there"
        raise StageError("the disk is full", part.parent, next, Exit.ENVIRONMENT) from None
