"""The head model by its name: our open head, generated in memory, or the user's licensed FLAME."""

from pathlib import Path

from avatarmake.errors import Exit, StageError
from avatarmake.head_model.model import HeadModel


def load(name: str) -> HeadModel:
    """`open`: generated in memory, no file and no licence. `flame`: the user's own, of the assets folder.

    Raises StageError (missing asset, bad file, or usage) with what to do.
    """
    if name == "open":
        from avatarmake.head_model import open_head

        return open_head.load()
    if name == "flame":
        from avatarmake.head_model import flame

        return flame.load()
    raise StageError(f"no head model is called '{name}'", next="Use HEAD_MODEL=open or flame", exit=Exit.USAGE)


def refuse_another(model: HeadModel, digest: str, where: Path, subject: str, again: str) -> None:
    """Raises StageError where parameters were solved for another version of the model, or nothing says for which."""
    if not digest:
        what = f"was imported where there was no head model '{model.name}': nothing has compared the two"
        raise StageError(what, where, f"Run: make import ID={subject}")
    if digest != model.digest:
        raise StageError(f"was tracked with another version of head model '{model.name}'", where, f"Run: {again}")
