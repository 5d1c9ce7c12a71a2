"""The host command: run a stage, build images, see where a subject stands and what this host can do.

`make` calls it for everything; `python -m avatarmake --help` lists it.
"""

import itertools
import os
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from avatarmake import __version__, engine
from avatarmake.contract.command import failures
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import load as load_stage

app = cyclopts.App(name="python -m avatarmake", help=__doc__.splitlines()[0], version=__version__)
app["--help"].group = "Commands"


@app.command(help_flags=[])
def run(stage: str, *words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run a stage unless it is done: run track roman --data data [options]."""
    return engine.run(stage, list(words))


@app.command(help_flags=[])
def ready(subject: str, *words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Make what stages need before the first runs: ready roman --data=data GOAL ... [then TARGET options ...] ..."""
    from avatarmake.engine.readiness import make_ready

    first, options = _then(words)
    data = next(word.removeprefix("--data=") for word in first if word.startswith("--data="))
    goals = [word for word in first if not word.startswith("--data=")]
    return make_ready(Subject(Path(data), subject), goals, options)


def _then(words: tuple[str, ...]) -> tuple[list[str], dict[str, list[str]]]:
    """WORD ... [then TARGET options ...] ... as make writes them: the first words, and each target's options."""
    parts = itertools.groupby(words, lambda word: word == "then")
    first, *others = [list(part) for is_then, part in parts if not is_then]
    return first, {target: options for target, *options in others}


@app.command(help_flags=[])
def batch(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Many subjects: batch LIST --data=D --stages="track train" --on=slurm [--show] [then TARGET options ...] ..."""
    from avatarmake.batch import batch as many

    first, options = _then(words)
    asked = cyclopts.App(help=batch.__doc__, version_flags=[])

    @asked.default
    def _(
        list: Path = Path(),
        *,
        data: Path = Path("data"),
        stages: str = "",
        on: str = "local",
        at_once: int = 0,
        cores: int = 0,
        shards: int = 1,
        claim: str = "",
        registry: str = "",
        show: bool = False,
    ) -> int:
        common = {target: many.joined(given) for target, given in options.items()}
        wanted = many.Batch(list, data, many.targets(stages), on, common, at_once, cores, shards, claim, registry)
        return many.show(wanted) if show else many.run(wanted)

    return asked(first, exit_on_error=False, result_action="return_value")


@app.command(help_flags=[])
def attempt(stage: str, subject: str, *words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run a stage as a job of a batch: attempt track roman --data=D [options]. A failure leaves a receipt."""
    from avatarmake.batch.attempt import attempt as tried

    data = next(word.removeprefix("--data=") for word in words if word.startswith("--data="))
    options = [word for word in words if not word.startswith("--data=")]
    return tried(stage, subject, options, Path(data), dict(os.environ))


@app.command
def build(*stages: str, force: bool = False) -> None:
    """Build the images of these stages (all without a name); only what has changed is built. TORCH= names the kind."""
    from avatarmake.engine import docker, kind

    for stage in [load_stage(name).name for name in stages or STAGES]:
        chosen = kind.choose(stage, daemon=docker.info)
        image, built = docker.build(stage, force, chosen.name)
        said = "built" if built else "nothing to do, the image is up to date:"
        print(f"{stage}: {said} {image.short_id}" + (f", {chosen}" if chosen.why else ""), flush=True)


@app.command
def images() -> None:
    """Name, id, size, age and lock of every stage's image."""
    from avatarmake import status

    status.show_images()


@app.command
def push(*stages: str, registry: str) -> None:
    """Push the images of these stages (all without a name) to a registry, and note their digests in images.lock."""
    from avatarmake.engine import distribution

    distribution.push(list(stages), registry)


@app.command
def pull(*stages: str, registry: str) -> None:
    """Pull the images of the present sources from a registry; nothing has to be built then."""
    from avatarmake.engine import distribution

    distribution.pull(list(stages), registry)


@app.command
def save(*stages: str, to: Path) -> None:
    """Write the images of these stages (all without a name) as files, for hosts that reach no registry."""
    from avatarmake.engine import distribution

    distribution.save(list(stages), to)


@app.command
def load(*stages: str, folder: Annotated[Path, Parameter(name="--from")]) -> None:
    """Take images from files that `save` wrote."""
    from avatarmake.engine import distribution

    distribution.load(list(stages), folder)


@app.command
def base() -> None:
    """Make the base image from Debian's archive, where no registry of images can be reached."""
    from avatarmake.engine import base as own_base

    print(f"base: {own_base.make()}")


@app.command(help_flags=[])
def live(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Serve the avatar's page with a camera, on this machine: live roman --data data [options]."""
    return engine.serve("live", list(words))


@app.command
def status(subject: str, *, data: Path = Path("data")) -> None:
    """Every stage of a subject: state, key, engine or image, age, size, time and memory that it took."""
    from avatarmake import status as states

    states.show(subject, data)


@app.command
def summary(subject: str, *, data: Path = Path("data")) -> None:
    """The main figures of a subject's report, and where it is."""
    from avatarmake import status as states

    states.show_metrics(subject, data)


@app.command
def doctor() -> int:
    """What this host can do, and what to do about what is missing."""
    from avatarmake import doctor as checks

    return checks.show()


@app.command
def verify(*, data: Path = Path("data")) -> int:
    """Run a small demo on every engine and device of this host, and hold it against the repository's reference."""
    from avatarmake.verify import outcome

    return outcome.show(data)


@app.command
def assets(*, get: Annotated[list[str], Parameter(consume_multiple=True, negative="")] = (), accept: str = "") -> int:
    """List the weights that stages can use; --get NAME ... (or all) fetches them. --accept: licences you agree to."""
    from avatarmake.assets import fetching as weights
    from avatarmake.assets.licences import named

    names = [name for words in get for name in words.replace(",", " ").split()]
    return weights.get(names, named(accept)) if names else weights.show()


@app.command
def patches(*upstreams: str) -> int:
    """Try every patch to an upstream project on its checkout, and say what each came to."""
    from avatarmake.patches import table

    return table.show(*upstreams)


@app.command
def lock() -> None:
    """Resolve every requirements.in anew into its requirements.lock."""
    from avatarmake.environments import locks

    locks.make()


@app.command
def environment(name: str) -> None:
    """Make the virtual environment of a stage, or `test`, and print its interpreter. TORCH= names the kind."""
    from avatarmake.engine import kind
    from avatarmake.environments import venv

    print(venv.python(name, *([] if name == "test" else [kind.choose(load_stage(name).name).name])))


@app.command
def flashavatar_tree(subject: str, *, data: Path = Path("data"), to: Path | None = None, copy: bool = False) -> None:
    """What FlashAvatar's own train.py reads, from dataset/ and masks/: links, or copies for another disk.

    Parameters
    ----------
    to
        Its checkout, or any folder; upstream/FlashAvatar if not given.
    """
    from avatarmake import flashavatar_tree as tree

    tree.show(Subject(data, subject), to, copy)


@app.command
def pack(
    subject: str,
    *,
    data: Path = Path("data"),
    with_: Annotated[str, Parameter(name="--with")] = "",
    diff: bool = False,
    to: Path | None = None,
) -> None:
    """Write a subject as one file that says how it was made, for `reproduce` on another host.

    Parameters
    ----------
    with_
        Of its data what shall come along: video, frames, avatar ... or all, by spaces or commas.
    diff
        Take along what the working tree has changed, instead of refusing it.
    to
        The file, or a folder for it; this one if not given.
    """
    from avatarmake import pack as packs

    packs.make(Subject(data, subject), with_.replace(",", " ").split(), diff, to)


@app.command
def reproduce(
    file: Path,
    *,
    data: Path = Path("data"),
    video: Path | None = None,
    labels: Path | None = None,
    registry: str = "",
    anyway: bool = False,
    force: bool = False,
) -> int:
    """Run every stage of a pack on this host and hold what comes out against it. Exit code 6: not as promised.

    Parameters
    ----------
    video, labels
        What it was made of, where that is not in the pack.
    registry
        Where images are pulled from, instead of built.
    anyway
        With this checkout, although its stages are not those that made the pack.
    force
        Run anew what an earlier reproduction made.
    """
    from avatarmake.pack import reproduction

    given = {name: path.expanduser() for name, path in (("video", video), ("labels", labels)) if path is not None}
    return reproduction.reproduce(file, reproduction.Wishes(data, given, registry, anyway, force))


def main(argv: list[str] | None = None) -> int:
    with failures("avatarmake") as outcome:
        code = app(sys.argv[1:] if argv is None else argv, exit_on_error=False, result_action="return_value")
        return int(code or 0) if isinstance(code, int) else 0
    return int(outcome.code)


if __name__ == "__main__":
    sys.exit(main())
