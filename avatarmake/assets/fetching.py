"""`make assets`: what is there and what is missing, checked against the manifest and the lock; `GET=name` fetches."""

import contextlib
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from avatarmake import assets, host
from avatarmake.assets import Asset, licences, pins
from avatarmake.assets.download import download, forget, need_space
from avatarmake.assets.meter import Meter
from avatarmake.assets.pins import Pin
from avatarmake.assets.web import Form
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.files.locking import Busy, locked
from avatarmake.terminal import print_table

THERE, MISSING, WRONG = "[green]ok[/]", "[yellow]--[/]", "[red]!![/]"


def show() -> Exit:
    """List all assets, and pin what a person has put there by hand. A file that is not what it shall be is a fault."""
    known, found, faults = pins.read(), {}, []
    table = Table(box=None, pad_edge=False, show_header=False)
    for asset in assets.manifest().values():
        path = assets.find(asset.name)
        mark = THERE if path else MISSING
        if path:
            try:
                found[asset.name] = _checked(asset, path, known)
            except StageError as e:
                mark = WRONG
                faults.append(e)
        size = _bytes(asset, path, known)
        table.add_row(mark, asset.name, host.size(size) if size else "", _about(asset))
    print(f"assets in {assets.folder()}")
    print_table(table)
    print("Fetch:  make assets GET=<name>   several: GET='deca mica'   all that need no account: GET=all", flush=True)
    for fault in faults:
        print(f"avatarmake: {fault}", file=sys.stderr)
    pins.write(found)
    return Exit.BAD_INPUT if faults else Exit.OK


def _about(asset: Asset) -> str:
    how = f"; account of {asset.page}" if asset.gated else "" if asset.url else f"; by hand from {asset.page}"
    details = f"{', '.join(asset.stages)}: {asset.file} ({asset.licence}{how})"
    return f"{escape(asset.purpose)}\n[dim]{escape(details)}[/]"


def _bytes(asset: Asset, path: Path | None, known: dict[str, Pin]) -> int:
    if path:
        return path.stat().st_size
    return asset.size or (known[asset.name].size if asset.name in known else 0)


def get(names: list[str], accepted: set[str]) -> Exit:
    """Fetch assets by name; `all`: those that need no account. `accepted`: licences that were agreed to.

    Whatever a person has to say is asked first. One that fails does not stop the others; the exit code is the worst.
    """
    ready: list[tuple[Asset, Form | None]] = []
    accounts: dict[str, Form] = {}
    worst = Exit.OK
    for asset in _wanted(names):
        with _fault() as outcome:
            if not assets.find(asset.name):
                licences.agree(asset, accepted)
                ready.append((asset, licences.account(asset, accounts)))
            else:
                ready.append((asset, None))
        worst = max(worst, outcome[0])
    for asset, form in ready:
        with _fault() as outcome:
            _get(asset, form)
        worst = max(worst, outcome[0])
    return worst


@contextlib.contextmanager
def _fault() -> Iterator[list[Exit]]:
    outcome = [Exit.OK]
    try:
        yield outcome
    except StageError as e:
        outcome[0] = e.exit
        print(f"avatarmake: {e}", file=sys.stderr, flush=True)


def _wanted(names: list[str]) -> list[Asset]:
    manifest = assets.manifest()
    free = [asset.name for asset in manifest.values() if asset.url and not asset.gated]
    names = [each for name in names for each in (free if name == "all" else [name])]
    if unknown := [name for name in names if name not in manifest]:
        raise StageError(f"there is no asset '{unknown[0]}'", next=f"There are: {', '.join(manifest)}", exit=Exit.USAGE)
    return [manifest[name] for name in dict.fromkeys(names)]


def _get(asset: Asset, form: Form | None) -> None:
    """Have one asset in its place, whole and checked, and its pin in the lock."""
    place, work = assets.folder() / asset.file, assets.folder() / ".partial"
    if place.exists():
        return _keep(asset, place)
    if place.is_symlink():
        what = f"is a link to {place.readlink()}, which is not there"
        raise StageError(what, place, "Mount what it leads to, or remove it", Exit.ENVIRONMENT)
    if not asset.url:
        raise StageError("is fetched by hand", place, f"From {asset.page}", Exit.MISSING_ASSET)
    work.mkdir(parents=True, exist_ok=True)
    part = work / f"{asset.name}.part"
    with _turn(work / f"{asset.name}.lock", asset.name):
        if place.exists():  # another run has fetched it meanwhile
            return _keep(asset, place)
        with Meter(asset.name) as meter:
            got, pin = _fetch(asset, form, part, pins.read(), meter)
        place.parent.mkdir(parents=True, exist_ok=True)
        got.replace(place)
        _clean(part)
        pins.write({asset.name: pin})
        print(f"{asset.name}: got {host.size(pin.size)}, {place}", flush=True)


def _keep(asset: Asset, place: Path) -> None:
    pins.write({asset.name: _checked(asset, place, pins.read())})
    print(f"{asset.name}: is there, {place}", flush=True)


def _fetch(asset: Asset, form: Form | None, part: Path, known: dict[str, Pin], meter: Meter) -> tuple[Path, Pin]:
    """The file, not yet in its place, and its pin. What is not what it shall be is removed."""
    verified = bool(_digest(asset, known)) and not asset.member  # a zip's own digest is not known
    while True:
        joined = download(asset.url, part, meter, form, verified)
        try:
            got = _extract(asset, part) if asset.member else part
            return got, _checked(asset, got, known, asset.url)
        except StageError as e:
            if e.exit == Exit.ENVIRONMENT:
                raise
            _clean(part)
            if not joined:
                e.next = f"It was removed. Try again later, or fetch it by hand from {asset.page}"
                raise
            meter.say("what an earlier try left does not fit; once more from the start")


def _extract(asset: Asset, archive: Path) -> Path:
    """The one member that is wanted, written under a name of ours: no name in an archive becomes a path."""
    try:
        with zipfile.ZipFile(archive) as pack:
            fits = [m for m in pack.infolist() if m.filename.rpartition("/")[2] == asset.member and not m.is_dir()]
            if len(fits) != 1:
                raise StageError(f"{asset.member} is in it {len(fits)} times, expected once", asset.url)
            need_space(archive.parent, fits[0].file_size)
            with pack.open(fits[0]) as source, _member(archive).open("wb") as f:
                shutil.copyfileobj(source, f, 1 << 20)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as e:
        raise StageError(f"what came is not a whole zip file ({e})", asset.url) from None
    return _member(archive)


def _member(archive: Path) -> Path:
    return archive.with_suffix(".member")


def _clean(part: Path) -> None:
    forget(part)
    _member(part).unlink(missing_ok=True)


def _digest(asset: Asset, known: dict[str, Pin]) -> str:
    """The digest that it shall have: the manifest's, else the lock's, else none is known."""
    return asset.sha256 or (known[asset.name].sha256 if asset.name in known else "")


def _checked(asset: Asset, path: Path, known: dict[str, Pin], url: str = "") -> Pin:
    """Its pin. Raises StageError where it is not the file that the manifest or the lock says."""
    size, digest, shall = path.stat().st_size, digest_path(path), _digest(asset, known)
    if shall and digest != shall:
        by = "assets.toml" if asset.sha256 else "assets.lock"
        what = f"{asset.name} is not the file that {by} says: {size} bytes, sha256 {digest}, expected {shall}"
        raise StageError(what, path, f"Remove it, then type: make assets GET={asset.name}")
    old = known.get(asset.name)
    return old if old and old.sha256 == digest else Pin(url, size, digest)


@contextlib.contextmanager
def _turn(lock: Path, name: str) -> Iterator[None]:
    """One run at a time fetches an asset; the others wait, and then find it there."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock, wait=False))
        except Busy:
            print(f"{name}: another run is fetching it; waiting", file=sys.stderr, flush=True)
            held.enter_context(locked(lock))
        yield
