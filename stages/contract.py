"""The stage contract: what every stage declares, how it is run, and the stage.json it leaves behind.

A stage reads the directories of others and writes exactly one of its own. It works in `<directory>.partial/`, and a
rename publishes that once it is whole, `stage.json` inside; a killed run is resumed from it. `stage.json` is stamp,
manifest and receipt in one: a stage whose key is unchanged is skipped, one whose key changed says which part did.

The key is made of the CONTENT digests of what the stage reads (not of the keys of the stages that wrote it): a rebuilt
converter that writes the same bytes does not cost a new training.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from stages.errors import Exit, StageError
from stages.layout import WRITER, Subject
from stages.provenance import PeakMemory, host_facts, package_versions

ROOT = Path(__file__).resolve().parent.parent
RECEIPT = "stage.json"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Stage:
    """What `stages/<name>/__init__.py` declares, with the standard library only: the host reads it too."""

    name: str  # the make target, the package, the image, the folder of tests
    summary: str  # one line, for help
    reads: tuple[str, ...]  # directories of other stages
    writes: str  # its own directory
    config: type  # dataclass: each field is an option of the stage's command line
    gpu: str = "none"  # none | optional
    # (subject, config) -> config with what was not given filled in from the subject (its own video), before the key
    resolve: Callable[[Subject, Any], Any] = lambda subject, config: config


def option(default: Any, help: str, *, key: bool = True, input: bool = False, again: bool = False) -> Any:
    """A field of a stage's config. `key=False`: does not change the result (workers, progress).

    `again=True`: a flag that asks for work on what is there (an audit), so the stage runs even if its key is unchanged.

    `input=True`: a Path outside the shared volume (a video, a folder of label maps); its content is part of the key,
    and the docker engine mounts it read-only.
    """
    return field(default=default, metadata={"help": help, "key": key, "input": input, "again": again})


@dataclass
class Job:
    """One run of a stage: where it reads, where it writes, what it was asked for."""

    stage: Stage
    subject: Subject
    config: Any
    out: Path  # write here and nowhere else; it becomes the stage's directory when run() returns
    resumed: bool = False  # `out` holds what a killed run with the same key left

    def read(self, directory: str) -> Path:
        """The directory of another stage that this one declared in `reads`."""
        assert directory in self.stage.reads, f"{self.stage.name} does not declare {directory}"
        return self.subject.directory(directory)

    def progress(self, items: Iterable, total: int | None = None, label: str = "") -> Iterator:
        """Iterate with a progress bar; on one that is not a terminal, a line now and then."""
        from stages.progress import progress

        return progress(items, total, label or self.stage.name)


def receipt(directory: Path) -> dict | None:
    """stage.json of a finished directory, or None. Raises StageError when it cannot be read."""
    path = directory / RECEIPT
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise StageError(f"cannot be read: {e}", path, f"Remove {directory} and run its stage again") from e


# --- the key -------------------------------------------------------------------------------------------------------


def source_files(stage: str) -> list[Path]:
    """The sources that stage's image holds: the shared modules and its own package, as in docker/<stage>/Dockerfile."""
    shared = [p for p in (ROOT / "stages").glob("*.py") if p.name != "__main__.py"]
    packages = [ROOT / "stages" / "head_model", ROOT / "stages" / stage]
    inside = [p for d in packages for p in d.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(shared + inside)


def digest_files(paths: Iterable[Path], root: Path) -> str:
    h = hashlib.sha256()
    for path in paths:
        h.update(f"{path.relative_to(root)}\0".encode())
        h.update(hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def digest_path(path: Path) -> str:
    """Content digest of a file, or of all files below a directory."""
    if path.is_dir():
        return digest_files(sorted(p for p in path.rglob("*") if p.is_file()), path)
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def key_parts(stage: Stage, subject: Subject, config: Any) -> dict[str, str]:
    """Everything the result depends on, by name, so that a change can be named. Values are short strings."""
    config = stage.resolve(subject, config)
    parts = {}
    for directory in stage.reads:
        done = receipt(subject.directory(directory))
        if done is None:
            raise StageError(
                "is not there" if not subject.directory(directory).exists() else "is not a finished stage's directory",
                subject.directory(directory),
                f"Run: make {WRITER[directory]} ID={subject.name}",
            )
        parts[f"{directory}/"] = done["outputs"]["digest"]
    for f in fields(config):
        value = getattr(config, f.name)
        if f.metadata.get("input") and value is not None:
            if not Path(value).exists():
                raise StageError("there is no such file", value, f"Give an existing one: {f.name.upper()}=...")
            parts[f.name] = digest_path(Path(value))
        elif f.metadata.get("key", True) and not f.metadata.get("input"):
            parts[f.name] = str(value)
    lock = ROOT / "docker" / stage.name / "requirements.lock"
    parts["environment"] = digest_path(lock) if lock.exists() else "none"
    parts["code"] = digest_files(source_files(stage.name), ROOT)
    return parts


def key_of(parts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def changes(parts: dict[str, str], done: dict) -> list[str]:
    """What differs between `parts` and those of a finished run, in words."""
    before = done.get("parts", {})
    words = []
    for name in sorted(parts.keys() | before.keys()):
        a, b = before.get(name), parts.get(name)
        if a != b:
            short = [x if x is None or len(x) < 24 else x[:8] for x in (a, b)]
            words.append(f"{name}: {short[0]} -> {short[1]}")
    return words


def is_done(stage: Stage, subject: Subject, parts: dict[str, str]) -> tuple[bool, str]:
    """Whether the stage's directory is what these parts would make, and the line that says so."""
    done = receipt(subject.directory(stage.writes))
    if done is None:
        return False, f"{stage.name} {subject.name}: to do"
    changed = changes(parts, done)
    if changed:
        return False, f"{stage.name} {subject.name}: to do again, changed: {'; '.join(changed)}"
    return True, f"{stage.name} {subject.name}: nothing to do, {subject.directory(stage.writes)} is up to date"


# --- running -------------------------------------------------------------------------------------------------------


def execute(
    stage: Stage, subject: Subject, config: Any, run: Callable[[Job], dict | None], force: bool = False
) -> None:
    """Run a stage into its .partial directory and publish it. Raises StageError; leaves .partial for a rerun."""
    config = stage.resolve(subject, config)
    parts = key_parts(stage, subject, config)
    done, line = is_done(stage, subject, parts)
    print(line, flush=True)
    again = any(f.metadata.get("again") and getattr(config, f.name) for f in fields(config))
    if done and not force and not again:
        return
    shard = getattr(config, "shard", None)
    with _lock(subject, stage, shared=shard is not None):
        out = subject.partial(stage.writes)
        with (subject.root / f".{stage.writes}.prepare.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # two shards that start at once must not clear each other's work
            resumed = _prepare(out, key_of(parts))
        started = time.time()
        with PeakMemory() as memory:
            facts = run(Job(stage, subject, config, out, resumed))
        if facts is None:  # a shard: others go on, and a run without --shard publishes
            return
        stamp = {
            "stage": stage.name,
            "subject": subject.name,
            "key": key_of(parts),
            "parts": parts,
            "config": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()},
            "facts": facts,
            "seconds": round(time.time() - started, 3),
            "resumed": resumed,
            "peak_memory_mb": memory.peak_mb,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            "environment": json.loads(os.environ.get("AVATARMAKE_ENVIRONMENT", '{"engine": "none"}')),
            "host": host_facts(),
            "versions": package_versions(),
        }
        _publish(out, subject.directory(stage.writes), stamp)
    print(f"{stage.name} {subject.name}: done in {stamp['seconds']:.1f} s, {memory.peak_mb:.0f} MB at most", flush=True)


@contextlib.contextmanager
def _lock(subject: Subject, stage: Stage, shared: bool) -> Iterator[None]:
    """One run of a stage and subject at a time; shards run beside each other."""
    subject.root.mkdir(parents=True, exist_ok=True)
    with (subject.root / f".{stage.writes}.lock").open("w") as f:
        try:
            fcntl.flock(f, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StageError(
                f"{stage.name} is already running for this subject",
                subject.root,
                "Wait for it, or stop it",
                Exit.ENVIRONMENT,
            ) from e
        yield


def _prepare(out: Path, key: str) -> bool:
    """Make the .partial directory; True when it holds work of the same key, to be resumed. Safe for shards at once."""
    stamp = out / ".key"
    if stamp.exists() and stamp.read_text() == key:
        return True
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    stamp.write_text(key)
    return False


def _publish(out: Path, final: Path, stamp: dict) -> None:
    """Digest the outputs, write stage.json, and swap the directory in by rename."""
    (out / ".key").unlink()
    for torn in out.rglob(".*.new*"):  # a kill -9 in the middle of `whole`
        torn.unlink()
    files = sorted(p for p in out.rglob("*") if p.is_file())
    sums = {p.relative_to(out).as_posix(): digest_path(p) for p in files}
    (out / SUMS).write_text("".join(f"{d}  {name}\n" for name, d in sums.items()))
    stamp["outputs"] = {
        "files": len(files),
        "bytes": sum(p.stat().st_size for p in files),
        "digest": digest_path(out / SUMS),
    }
    temporary = out / f"{RECEIPT}.new"
    temporary.write_text(json.dumps(stamp, indent=1))
    temporary.rename(out / RECEIPT)
    old = final.with_name(f".{final.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        final.rename(old)
    out.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a temporary name beside `path`, renamed when the block ends well."""
    temporary = path.with_name(f".{path.name}.new{path.suffix}")
    try:
        yield temporary
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


# --- the command line ----------------------------------------------------------------------------------------------


def main(stage: Stage, run: Callable[[Job], dict | None], argv: list[str] | None = None) -> None:
    """`python -m stages.<name> ID --data /data [options]`: the whole in-container interface. Exits the process."""
    sys.exit(int(command(stage, run, argv)))


def command(stage: Stage, run: Callable[[Job], dict | None], argv: list[str] | None = None) -> Exit:
    """`main` without the exit: returns the exit code."""
    import cyclopts

    app = cyclopts.App(
        name=f"python -m stages.{stage.name}",
        help=stage.summary,
        version_flags=[],
        suppress_keyboard_interrupt=False,  # `failures` says how to go on
    )

    @app.default
    def _(
        subject: str,
        *,
        data: Path = Path("data"),
        force: bool = False,
        config: Annotated[stage.config, cyclopts.Parameter(name="*")] = None,
    ) -> None:
        execute(stage, Subject(data, subject), config or stage.config(), run, force)

    with failures(stage.name) as outcome:
        app(sys.argv[1:] if argv is None else argv, exit_on_error=False, result_action="return_value")
    return outcome.code


@dataclass
class Outcome:
    code: Exit = Exit.OK


@contextlib.contextmanager
def failures(name: str) -> Iterator[Outcome]:
    """Turn what can go wrong into one line on stderr and an exit code; a traceback is for faults of ours only."""
    import cyclopts

    outcome = Outcome()
    try:
        yield outcome
    except StageError as e:
        outcome.code = e.exit
        print(f"{name}: {e}", file=sys.stderr, flush=True)
    except cyclopts.CycloptsError:
        outcome.code = Exit.USAGE  # cyclopts has printed what is wrong
    except MemoryError:
        outcome.code = Exit.ENVIRONMENT
        print(f"{name}: out of memory. Close other programs, or give the container more", file=sys.stderr)
    except OSError as e:
        import errno

        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE):
            raise
        outcome.code = Exit.ENVIRONMENT
        text = f"{name}: {e.filename or 'the shared volume'}: {e.strerror}. Nothing is lost"
        print(f"{text}: free space or rights, then run it again and it goes on", file=sys.stderr)
    except KeyboardInterrupt:
        outcome.code = 130  # type: ignore[assignment]
        print(f"{name}: stopped; run it again and it goes on", file=sys.stderr)
