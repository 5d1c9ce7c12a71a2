"""A pack that was got from somebody, unpacked, and what it says; nothing of it is trusted to be what it should be."""

import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.receipts import listed, receipt
from avatarmake.contract.stage import Stage, load
from avatarmake.errors import StageError
from avatarmake.files.digests import digest_path
from avatarmake.pack import archive, contents

TEXTS = {"avatarmake": r"[0-9A-Za-z.+-]{1,40}", "revision": r"[0-9a-f]{40}|unknown"}
WRITERS = [stage for stage in STAGES if load(stage).writes]
NAMES = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


@dataclass(frozen=True)
class Pack:
    """`folder`: its files; `about`: its list; `digest`: of the file that it came in."""

    folder: Path
    about: dict
    digest: str

    def directory(self, name: str) -> Path:
        return self.folder / contents.SUBJECT / name

    @cached_property
    def stamps(self) -> dict[str, dict]:
        """Receipts by directory, in pipeline order."""
        return {entry["directory"]: receipt(self.directory(entry["directory"])) for entry in self.about["stages"]}

    def stage(self, directory: str) -> Stage:
        return load(next(entry["stage"] for entry in self.about["stages"] if entry["directory"] == directory))

    def options(self, directory: str) -> list[str]:
        """The options, as words, that a directory was made with, less its inputs and what its stage no longer has.

        Receipts come from elsewhere: no word of theirs is more than the option that it is listed as.
        """
        said = self.stamps[directory]["environment"].get("options", {})
        known = {f.name for f in fields(self.stage(directory).config) if not f.metadata.get("input")}
        return [word for name, word in said.items() if name in known and _is_word(name, word)]

    def input(self, name: str) -> Path | None:
        """An input that came along, or None."""
        if name not in self.about["data"]:
            return None
        return contents.input_place(self.folder, name, self.about["inputs"][name], self.about["files"])

    def needs(self, directory: str) -> dict[str, str]:
        """The inputs from outside that a directory was made of: name -> digest."""
        parts, inputs = self.stamps[directory]["parts"], self.about["inputs"]
        here = {f.name for f in fields(self.stage(directory).config)}
        return {name: parts[name] for name in inputs if name in parts and name in here}

    def foreign(self, directory: str) -> str:
        """Who else a directory was made of, which is in no pack: another subject, a file that drives. "" for nobody."""
        parts, stage = self.stamps[directory]["parts"], self.stage(directory)
        others = {name.split("/")[0] for name in parts if name.count("/") == 2} - {self.about["subject"]}
        files = {f.name for f in fields(stage.config) if f.metadata.get("input") and f.name in parts}
        return ", ".join(sorted(others)) or (f"a {files.pop()}" if stage.part and files else "")


def opened(path: Path, into: Path) -> Pack:
    """Unpack a pack below `into`, once, and look at what it says. Raises StageError."""
    digest = digest_path(path) if path.is_file() else ""
    place = into / digest[:12]
    about = archive.read(path)
    _check(path, about)
    if not place.exists():
        archive.unpack(path, place)
    pack = Pack(place, about, digest)
    for directory, stamp in pack.stamps.items():
        if stamp is None or not listed(pack.directory(directory)):
            raise _damaged(path, f"the receipt of {directory} does not vouch for its list of files")
        said = [stamp.get("host", {}), stamp.get("versions", {}), stamp["environment"].get("processor", {})]
        if not all(isinstance(each, dict) for each in said) or not isinstance(stamp.get("seconds", 0), int | float):
            raise _damaged(path, f"the receipt of {directory} is none of a stage")
    return pack


def _check(path: Path, about: dict) -> None:
    """Raises StageError unless names are names and nothing else: they become paths, options and what a user types."""
    for name, pattern in TEXTS.items():
        if not re.fullmatch(pattern, str(about.get(name))):
            raise _damaged(path, f"its {name} is {about.get(name)!r}")
    Subject(Path("data"), str(about.get("subject")))
    for name in ("stages", "data", "inputs", "locks", "patches", "assets", "images"):
        if not isinstance(about.get(name), list if name in ("stages", "data") else dict):
            raise _damaged(path, f"it says no {name}")
    for entry in about["stages"]:
        said = entry if isinstance(entry, dict) else {}
        stage, directory = str(said.get("stage")), str(said.get("directory"))
        if stage not in WRITERS or not re.fullmatch(f"{load(stage).writes}(/{NAMES})?", directory):
            raise _damaged(path, f"its stage {stage!r} with the directory {directory!r} is none that is known here")
    for name, called in about["inputs"].items():
        if not (re.fullmatch("[a-z_]+", name) and isinstance(called, str) and Path(called).name == called != ".."):
            raise _damaged(path, f"its input {name!r} is called {called!r}")
    for name in ("locks", "patches", "assets", "images"):
        if not all(isinstance(value, str) for value in about[name].values()):
            raise _damaged(path, f"its {name} are not digests")


def _is_word(name: str, word: object) -> bool:
    flag = name.replace("_", "-")
    return isinstance(word, str) and bool(re.fullmatch(rf"--(no-)?{flag}(=.*)?", word, re.DOTALL))


def _damaged(path: Path, why: str) -> StageError:
    return StageError(f"is no pack that this avatarmake can read: {why}", path, "Get it anew, or a newer avatarmake")
