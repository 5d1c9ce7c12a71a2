"""What was asked of a stage: the options of this call, those remembered from the last one, and the key they make.

An option that is not given stays as it was: `make report ID=roman` after `make frames ID=roman VIDEO=... FPS=10` must
neither ask for the video again nor go back to another frame rate. stage.json remembers what was given, by name.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from avatarmake import ROOT
from avatarmake.contract import kinds
from avatarmake.contract.closure import closure
from avatarmake.contract.key import code_digest, is_done, key_parts, standing
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import receipt
from avatarmake.contract.stage import Stage
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.files.digests import digest_files


@dataclass(frozen=True)
class Request:
    """One call of a stage. `given`: the options of this call; `remembered`: the last call's that still hold."""

    stage: Stage
    subject: Subject
    config: Any
    force: bool
    given: dict[str, str]  # field -> its word, `--fps=10`
    remembered: dict[str, str]

    def words(self, data: Path, config: Any = None) -> list[str]:
        """The stage's own command line for a shared volume that it sees at `data`."""
        config = config or self.config
        default = self.stage.config()
        options = [w for f in fields(config) if (w := _word(f, config)) and w != _word(f, default)]
        return [self.subject.name, f"--data={data}", *options, *(["--force"] if self.force else [])]

    def options(self) -> dict[str, str]:
        """What stage.json shall remember: options that the result depends on."""
        lasting = {f.name for f in fields(self.config) if _lasts(f)}
        return {name: word for name, word in (self.remembered | self.given).items() if name in lasting}

    def state(self, code: Callable[[str], str] = code_digest) -> tuple[bool, str]:
        """Whether there is nothing to do, and the line that says so. Needs no engine."""
        if line := self.standing():
            return True, line
        return is_done(self.stage, self.subject, self.config, self.parts(code))

    def parts(self, code: Callable[[str], str] = code_digest) -> dict[str, str]:
        """What the result depends on, by name.

        A remembered input (the video) counts as unchanged without being read again: it may be gone by now. What an
        upstream's checkout would be after our patches is part of the key, so the patched copy is made here.
        """
        if self.stage.upstream:
            from avatarmake import patches

            os.environ["AVATARMAKE_UPSTREAM"] = str(patches.prepare(self.stage.upstream))
        done = receipt(self.subject.directory(self.stage.place(self.config)))
        config, kept = self.config, {}
        for f in fields(config):
            if done and f.metadata.get("input") and f.name in self.remembered and f.name in done.get("parts", {}):
                config, kept[f.name] = replace(config, **{f.name: None}), done["parts"][f.name]
        resolved = replace(self.stage, resolve=lambda subject, config: config)
        return key_parts(resolved, self.subject, config, code) | kept

    def standing(self) -> str:
        """The line that says that what was imported stands in the stage's place, or ""."""
        return "" if self.again else standing(self.stage, self.subject, self.given)

    @property
    def again(self) -> bool:
        """Whether it shall run although nothing has changed: forced, or an audit."""
        asked = [f for f in fields(self.config) if f.metadata.get("again") and getattr(self.config, f.name)]
        return self.force or bool(asked)

    def cache(self, engine: str) -> Path:
        """Where the stage may keep compiled code: beside the subjects, one per version of its sources.

        numba trusts a file's time and size; a new folder for every change of the sources does not have to.
        """
        code = digest_files(closure(self.stage.name), ROOT)[:12]
        folder = self.subject.data / ".cache" / engine
        place = folder / f"{self.stage.name}-{code}"
        place.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{self.stage.name}-*"):
            if old != place:
                shutil.rmtree(old, ignore_errors=True)
        return place.absolute()

    def variables(self, engine: str, data: Path, assets: Path, kind: Kind = NO_CHOICE) -> dict[str, str]:
        """Environment variables of the stage: where packages may write, where the user's weights are, which PyTorch.

        The paths are as the stage sees them; `data` is its view of the shared volume. AVATARMAKE_NO_GPU says why it
        is not one for a GPU.
        """
        cache = data / self.cache(engine).relative_to(self.subject.data.absolute())
        return {
            "AVATARMAKE_CACHE": str(data / ".cache"),
            "NUMBA_CACHE_DIR": str(cache / "numba"),
            "CUDA_CACHE_PATH": str(cache / "cuda"),
            kinds.VARIABLE: kind.name,
            "AVATARMAKE_NO_GPU": kind.why if kind.name == kinds.CPU else "",
            "AVATARMAKE_ASSETS": str(assets),
            "PYTHONUNBUFFERED": "1",
        }


def parse(stage: Stage, argv: list[str], quiet: bool = False) -> Request | None:
    """`ID [--data D] [--force] [options]` -> Request; None when it was --help. Raises StageError, CycloptsError.

    What is wrong with an option is printed before CycloptsError is raised, unless `quiet`.
    """
    asked = unresolved(stage, argv, quiet)
    if asked is None or asked.standing():
        return asked
    config = _with_paths(stage.resolve(asked.subject, _with_paths(asked.config)))
    inputs = {f.name for f in fields(config) if f.metadata.get("input")} & asked.given.keys()
    words = {f.name: _word(f, config) for f in fields(config) if f.name in inputs}
    return replace(asked, config=config, given=asked.given | words)


def unresolved(stage: Stage, argv: list[str], quiet: bool = False) -> Request | None:
    """`parse` without what the subject itself decides (its own video), which may not be there yet."""
    asked = _parse(stage, argv, quiet)
    if asked is None:
        return None
    subject, data, force, config = asked
    subject = Subject(data, subject)
    given = {f.name: _word(f, config) for f in fields(config) if _is_given(f, argv)}
    before = _remembered(stage, subject, config)
    remembered = {name: word for name, word in before.items() if name not in given and word is not None}
    if remembered:
        config = _parse(stage, [*argv, *remembered.values()], quiet)[3]
    return Request(stage, subject, config, force, given, remembered)


def _parse(stage: Stage, argv: list[str], quiet: bool) -> tuple[str, Path, bool, Any] | None:
    import cyclopts

    app = cyclopts.App(name=f"python -m avatarmake run {stage.name}", help=stage.summary, version_flags=[])

    @app.default
    def _(
        subject: str,
        *,
        data: Path = Path("data"),
        force: bool = False,
        config: Annotated[stage.config, cyclopts.Parameter(name="*")] = None,
    ):
        return subject, data, force, config or stage.config()

    return app(argv, exit_on_error=False, print_error=not quiet, result_action="return_value")


def _remembered(stage: Stage, subject: Subject, config: Any) -> dict[str, str]:
    """The options of the run that made what is there, less those that the stage no longer has."""
    if not stage.writes:  # a server: nothing is kept
        return {}
    done = receipt(subject.directory(stage.place(config))) or {}
    names = {f.name for f in fields(stage.config)} if done.get("stage") == stage.name else set()
    options = done.get("environment", {}).get("options")
    return {k: v for k, v in options.items() if k in names} if isinstance(options, dict) else {}


def _lasts(f) -> bool:
    """Whether the result depends on this option. One that asks for work (an audit) is for its own call."""
    return (f.metadata.get("key", True) or f.metadata.get("input", False)) and not f.metadata.get("again")


def _flag(f) -> str:
    return "--" + f.name.replace("_", "-")


def _is_given(f, argv: list[str]) -> bool:
    names = (_flag(f), "--no-" + _flag(f)[2:])
    return any(word.split("=", 1)[0] in names for word in argv)


def _word(f, config: Any) -> str | None:
    value = getattr(config, f.name)
    if isinstance(value, bool):
        return _flag(f) if value else f"--no-{_flag(f)[2:]}"
    return None if value is None else f"{_flag(f)}={value}"


def _with_paths(config: Any) -> Any:
    """Inputs outside the shared volume as absolute paths, `~` included (a shell other than bash leaves it)."""
    paths = {f.name: getattr(config, f.name) for f in fields(config) if f.metadata.get("input")}
    return replace(config, **{name: Path(p).expanduser().resolve() for name, p in paths.items() if p is not None})
