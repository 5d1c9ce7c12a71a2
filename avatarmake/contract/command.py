"""A stage's command line, the whole in-container interface: `python -m stages.<name> ID --data /data [options]`."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Job, Stage
from avatarmake.errors import Exit, StageError
from avatarmake.files.faults import KNOWN, explained


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
    except BrokenPipeError:  # `make status ID=roman | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as e:
        if e.errno not in KNOWN:
            raise
        outcome.code = Exit.ENVIRONMENT
        print(f"{name}: {e.filename or 'the shared volume'}: {explained(e)}", file=sys.stderr)
    except (KeyboardInterrupt, SystemError) as e:
        if not _stopped(e):
            raise
        outcome.code = 130  # type: ignore[assignment]
        print(f"{name}: stopped; run it again and it goes on", file=sys.stderr)


def _stopped(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C's; compiled code that calls Python, as numba's does, makes a SystemError of that."""
    while isinstance(error, SystemError):
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)
