"""images.lock: which image of a registry each stage's is, by digest, so that another host pulls that one or an error.

`make push` and `make pull` write it. Users commit it, as they do assets.lock.
"""

import tomllib
from dataclasses import asdict, dataclass

from avatarmake import ROOT
from avatarmake.errors import StageError
from avatarmake.files.locking import locked
from avatarmake.files.whole import whole

LOCK = ROOT / "images.lock"
HEAD = "# Written by `make push` and `make pull`: the images of a registry by digest. Commit it.\n"


@dataclass(frozen=True)
class Pin:
    """One stage's image: its id, the digest of its manifest, and of the sources that it was built from."""

    image: str
    name: str  # where it is: host:5000/me/train
    digest: str
    sources: str

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.digest}"


def read() -> dict[str, Pin]:
    """All pins by stage."""
    if not LOCK.exists():
        return {}
    try:
        return {stage: Pin(**entry) for stage, entry in tomllib.loads(LOCK.read_text()).items()}
    except (TypeError, ValueError, RecursionError) as e:
        raise StageError(f"is damaged ({e!r})", LOCK, "Restore it from git, or remove it") from None


def write(new: dict[str, Pin]) -> None:
    """Put these pins in the place of older ones."""
    with locked(LOCK.parent):
        pins = read() | new
        entries = [
            f"\n[{stage}]\n" + "".join(f'{name} = "{value}"\n' for name, value in asdict(pin).items())
            for stage, pin in sorted(pins.items())
        ]
        with whole(LOCK) as fresh:
            fresh.write_text(HEAD + "".join(entries))


def named(stage: str, image: str) -> dict[str, str]:
    """For a receipt: the digest by which this image can be pulled; nothing where it is in no registry."""
    pin = read().get(stage)
    return {"digest": pin.reference} if pin and pin.image == image else {}
