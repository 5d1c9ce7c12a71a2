"""Every stage of a pack once more, in a data folder of its own, by the same command as anybody's."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from avatarmake import ROOT, assets
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import receipt
from avatarmake.errors import Exit, StageError
from avatarmake.files import inputs
from avatarmake.files.digests import digest_path
from avatarmake.pack.comparison import Outcome, Verdict, compare
from avatarmake.pack.pack import Pack


@dataclass(frozen=True)
class Rerun:
    """`data`: the shared volume to work on; `given`: inputs of this host by name, VIDEO= as `video`."""

    pack: Pack
    data: Path
    engine: str
    given: dict[str, Path]
    force: bool = False

    @property
    def subject(self) -> Subject:
        return Subject(self.data, self.pack.about["subject"])

    def faults(self) -> list[StageError]:
        """Inputs that are missing or are others, before anything runs."""
        found = []
        for directory in self.pack.stamps:
            for name, digest in self.pack.needs(directory).items():
                path = self._input(name)
                if path is None and not self._comes_along(directory):
                    called = self.pack.about["inputs"][name]
                    what = f"{directory} was made of {called} (sha256 {digest[:12]}), which is not in the pack"
                    found.append(StageError(what, next=f"Give it: {name.upper()}=.../{called}"))
                elif path is not None:
                    found += self._unlike(name, path, digest)
        return found

    def _unlike(self, name: str, path: Path, digest: str) -> list[StageError]:
        try:
            inputs.check(path, name.upper())
        except StageError as e:
            return [e]
        got = inputs.digest(path)
        what = f"is not the {name} that the pack was made of: its sha256 is {got[:12]}, and should be {digest[:12]}"
        return [StageError(what, path, f"Give the same file: {name.upper()}=...")] if got != digest else []

    def run(self) -> list[Outcome]:
        """All stages in order; one that fails takes those along that read its directory."""
        outcomes: dict[str, Outcome] = {}
        for directory in self.pack.stamps:
            stage = self.pack.stage(directory)
            lost = [name for name in stage.reads if name in outcomes and outcomes[name].verdict in LOST]
            if lost:
                outcome = Outcome(stage.name, directory, Verdict.FAILED, why=f"{lost[0]} is not there")
            elif others := self.pack.foreign(directory):
                why = f"it is made of {others} too, which no pack has"
                outcome = Outcome(stage.name, directory, Verdict.NOT_RUN, why=why)
            elif any(self._input(name) is None for name in self.pack.needs(directory)):
                outcome = self._give(stage.name, directory)
            else:
                outcome = self._run(stage.name, directory)
            outcomes[directory] = outcome
        return list(outcomes.values())

    def _give(self, stage: str, directory: str) -> Outcome:
        """A directory as it came in the pack, for what reads it."""
        place = self.subject.directory(directory)
        if receipt(place) is None:
            place.parent.mkdir(parents=True, exist_ok=True)
            new = place.with_name(f".{place.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(self.pack.directory(directory), new)
            new.rename(place)
        return Outcome(stage, directory, Verdict.GIVEN)

    def _run(self, stage: str, directory: str) -> Outcome:
        words = [stage, self.subject.name, f"--data={self.data}", *self.pack.options(directory)]
        words += [f"--{name.replace('_', '-')}={self._input(name).absolute()}" for name in self.pack.needs(directory)]
        told = {"ENGINE": self.engine, "PYTHONPATH": str(ROOT), "AVATARMAKE_ASSETS": str(self.assets_folder)}
        told |= {"TRACKER": "avatarmake"} if stage == "track" else {}
        command = [sys.executable, "-m", "avatarmake", "run", *words, *(["--force"] if self.force else [])]
        code = call(command, {k: v for k, v in os.environ.items() if k != "TRACKER"} | told)
        if code == 130:
            raise KeyboardInterrupt
        if code:
            return Outcome(stage, directory, Verdict.FAILED, why=f"it ended with exit code {code}")
        place = self.subject.directory(directory)
        then = (self.pack.stamps[directory], self.pack.directory(directory))
        return compare(stage, directory, then, (receipt(place), place))

    @property
    def assets_folder(self) -> Path:
        return self.data.with_name("assets")

    def take_assets(self) -> None:
        """Exactly those weights that were used, in a folder of their own: one more would be taken too.

        Linked where this disk can, since they are large.
        """
        shutil.rmtree(self.assets_folder, ignore_errors=True)
        self.assets_folder.mkdir(parents=True)
        for name in self.pack.about["assets"]:
            place = self.assets_folder / assets.manifest()[name].file
            place.parent.mkdir(parents=True, exist_ok=True)
            for each in (path := assets.find(name), *path.rglob("*")):  # a folder's files; of a file itself alone
                _link(each, place / each.relative_to(path))

    def _input(self, name: str) -> Path | None:
        return self.given.get(name) or self.pack.input(name)

    def _comes_along(self, directory: str) -> bool:
        return directory in self.pack.about["data"]


def call(command: list[str], environment: dict[str, str]) -> int:
    """Run a command, its output where ours goes; returns its exit code."""
    return subprocess.run(command, env=environment).returncode


LOST = (Verdict.FAILED, Verdict.NOT_RUN)


def _link(source: Path, place: Path) -> None:
    if source.is_dir():
        place.mkdir(exist_ok=True)
        return
    try:
        os.link(source.resolve(), place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, place)


def unmet(pack: Pack) -> list[StageError]:
    """Weights that are missing here or are others than those that were used."""
    found = []
    for name, digest in pack.about["assets"].items():
        if name not in assets.manifest():
            found.append(StageError(f"there is no weight '{name}' any more", next="Take the pack's revision"))
        elif (path := assets.find(name)) is None:
            found.append(StageError(f"{name} is not there", assets.folder(), _how(name), Exit.MISSING_ASSET))
        elif (got := digest_path(path)) != digest:
            what = f"is another {name} than was used: its sha256 is {got[:12]}, and should be {digest[:12]}"
            found.append(StageError(what, path, _how(name), Exit.MISSING_ASSET))
    return found


def _how(name: str) -> str:
    asset = assets.manifest()[name]
    return f"Type: make assets GET={name}" if asset.url else f"Put it there, from {asset.page}"
