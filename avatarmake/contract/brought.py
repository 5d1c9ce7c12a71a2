"""Directories of other stages that one stage fills, `imported`: they appear before its own, each whole or not at all.

A kill between two of them leaves the earlier ones in place, and its .partial; a rerun writes them again and goes on.
"""

from pathlib import Path

from avatarmake.contract.layout import Subject
from avatarmake.contract.ownership import refusal, strangers
from avatarmake.contract.publication import publish
from avatarmake.contract.receipts import receipt
from avatarmake.contract.stage import Stage
from avatarmake.errors import StageError

NOT_THEIRS = ("key", "parts", "facts", "outputs", "seconds", "peak_memory_mb")  # of the stage's own stamp


def refuse_what_others_made(stage: Stage, subject: Subject) -> None:
    """Raises StageError where another stage, or nobody of ours, made a directory that this one may fill."""
    for name in stage.brings:
        place = subject.directory(name)
        maker = (receipt(place) or {}).get("stage", stage.name)
        if maker != stage.name:
            what = f"was made by {maker}, and an import would put another in its place"
            raise StageError(what, place, "Give another ID=, or to replace it: make import ... OPTIONS=--force")
        if theirs := strangers(place, taken_over=False):
            raise refusal(place, theirs)


def publish_brought(stage: Stage, subject: Subject, out: Path, stamp: dict) -> None:
    """Put what a run left in `out/<directory>` in its place, with a receipt: `facts["brought"]` has what it says."""
    digests: dict[str, str] = {}
    about = {name: value for name, value in stamp.items() if name not in NOT_THEIRS}
    for name, made_of in stage.brings.items():
        if not (out / name).is_dir():
            continue
        own = {
            "key": stamp["key"],
            "parts": {f"{other}/": digests[other] for other in made_of if other in digests},
            "facts": stamp["facts"].get("brought", {}).get(name, {}),
            "seconds": 0.0,
            "peak_memory_mb": 0.0,
        }
        publish(out / name, subject.directory(name), (receipts := about | own))
        digests[name] = receipts["outputs"]["digest"]
