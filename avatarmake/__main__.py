"""The host command: run a stage, build images, see where a subject stands and what this host can do.

`make` calls it for everything; `python -m avatarmake --help` lists it.
"""

import itertools
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from avatarmake import __version__, engine
from avatarmake.contract.command import failures
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import load

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

    parts = itertools.groupby(words, lambda word: word == "then")
    first, *others = [list(part) for is_then, part in parts if not is_then]
    data = next(word.removeprefix("--data=") for word in first if word.startswith("--data="))
    goals = [word for word in first if not word.startswith("--data=")]
    return make_ready(Subject(Path(data), subject), goals, {target: options for target, *options in others})


@app.command
def build(*stages: str, force: bool = False) -> None:
    """Build the images of these stages (all without a name); only what has changed is built."""
    from avatarmake.engine import docker

    for stage in [load(name).name for name in stages or STAGES]:
        image, built = docker.build(stage, force)
        said = "built" if built else "nothing to do, the image is up to date:"
        print(f"{stage}: {said} {image.short_id}", flush=True)


@app.command
def images() -> None:
    """Name, id, size, age and lock of every stage's image."""
    from avatarmake import status

    status.show_images()


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
    """Make the virtual environment of a stage, or `test`, and print its interpreter."""
    from avatarmake.environments import venv

    print(venv.python(name if name == "test" else load(name).name))


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


def main(argv: list[str] | None = None) -> int:
    with failures("avatarmake") as outcome:
        code = app(sys.argv[1:] if argv is None else argv, exit_on_error=False, result_action="return_value")
        return int(code or 0) if isinstance(code, int) else 0
    return int(outcome.code)


if __name__ == "__main__":
    sys.exit(main())
