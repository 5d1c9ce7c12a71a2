"""assets.lock: what was got, so that another host gets the same bytes or an error. Users commit it."""

import tomllib
from dataclasses import dataclass

from avatarmake import ROOT
from avatarmake.errors import StageError
from avatarmake.files.locking import locked
from avatarmake.files.whole import whole

LOCK = ROOT / "assets.lock"
HEAD = """\
# Written by `make assets`: what is under assets/. Commit it: another host then gets the same bytes, or an error.
"""


@dataclass(frozen=True)
class Pin:
    """One asset as it was got: where from (empty: put there by hand), bytes, digest."""

    url: str
    size: int
    sha256: str


def read() -> dict[str, Pin]:
    """All pins by the asset's name."""
    if not LOCK.exists():
        return {}
    try:
        found = {name: (e["url"], e["size"], e["sha256"]) for name, e in tomllib.loads(LOCK.read_text()).items()}
        for name, (url, size, sha256) in found.items():
            if not (isinstance(url, str) and type(size) is int and isinstance(sha256, str)):
                raise ValueError(f"{name} is no address, size and digest")
        return {name: Pin(*values) for name, values in found.items()}
    except (KeyError, TypeError, ValueError, RecursionError) as e:  # TOML's and UTF-8's errors are ValueErrors
        raise StageError(f"is damaged ({e!r})", LOCK, "Restore it from git, or remove it") from None


def write(new: dict[str, Pin]) -> None:
    """Add these pins, or put them in place of older ones. Several runs may do so at once."""
    with locked(LOCK.parent):
        pins = read()
        if new.items() <= pins.items():
            return
        entries = [
            f'\n[{name}]\nurl = "{pin.url}"\nsize = {pin.size}\nsha256 = "{pin.sha256}"\n'
            for name, pin in sorted((pins | new).items())
        ]
        with whole(LOCK) as fresh:
            fresh.write_text(HEAD + "".join(entries))
