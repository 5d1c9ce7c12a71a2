"""How a stage's directory appears: whole or not at all, and never over what is not ours.

    data/<ID>/tracking             finished: what the stage wrote, SHA256SUMS, and stage.json, which came last
    data/<ID>/tracking.partial     a run works here; `.key` says for what, and a later run with that key goes on from
                                   it. All in it is the stage's: put nothing there. Without a `.key` it is not ours
    data/<ID>/.tracking.old        only between the two renames that put a new directory in the place of an old one
    data/<ID>/.tracking.discard-*  on its way out: what is ours in it is deleted, the rest set aside
    data/<ID>/.aside/tracking-1    what was not ours, as it was. Nobody here deletes it

The rule. A stage replaces only what its last run wrote (contract/ownership.py says how that is told). Anything else in
its place is refused and named before work begins; `--force` sets it aside instead, and so does the end of a run with
what was put there meanwhile. Nothing of others is ever deleted or overwritten.

A kill between any two system calls loses nothing, and the next run goes on: `recover` looks at which of these names are
there. A .partial that has its stage.json is whole and only needs its place; .old without a directory of the stage's
name goes back; .old beside one is done with. Each name means one state, because every step from one to the next is a
single rename. (A power cut is another matter: nothing here waits for the disk.)

Same inputs, same bytes: a directory's files hold the result and nothing of the run that made it. When, where, on what
and how fast (seconds along the way too: a stage returns them among its facts) stands in stage.json, the one file that
differs between engines, hosts and reruns. SHA256SUMS is of all others, so `outputs.digest`, which the keys of later
stages are made of, is the same wherever a stage ran.
"""

import json
import os
import secrets
import sys
from pathlib import Path

from avatarmake.contract.ownership import new_corner, refusal, set_aside, strangers
from avatarmake.contract.pipeline import IMPORTER
from avatarmake.contract.receipts import RECEIPT, SUMS, is_file, listed, receipt, there
from avatarmake.files.digests import digest_path
from avatarmake.files.faults import explained
from avatarmake.files.whole import TORN, whole

KEY = ".key"


def prepare(out: Path, key: str, force: bool = False) -> bool:
    """Make the .partial directory; True when it holds work of the same key, to be resumed.

    Work of another key is discarded. Raises StageError for a .partial that is not ours, which `force` sets aside.
    """
    if _key(out) == key:
        return True
    if _key(out) is not None:
        _retire(out)
    elif foreign := _foreign(out):
        if not force:
            raise refusal(out, foreign)
        _put_aside(out, out.name, [""])
    out.mkdir(exist_ok=True)
    with whole(out / KEY) as temporary:
        temporary.write_text(key)
    return False


def _key(out: Path) -> str | None:
    """What the work in a .partial is for; None where it is not ours."""
    if out.is_symlink() or not (out / KEY).is_file():
        return None
    return (out / KEY).read_text()


def _foreign(out: Path) -> list[str]:
    """Strangers in a .partial without a key; a run killed while it made one may have left a torn file."""
    return [name for name in strangers(out) if not TORN.fullmatch(name)]


def publish(out: Path, final: Path, stamp: dict) -> None:
    """Digest the outputs, write stage.json, and put the directory in its place."""
    names = sorted((name for name in there(out) if name not in (KEY, SUMS, RECEIPT)), key=lambda name: Path(name).parts)
    for torn in [name for name in names if TORN.fullmatch(os.path.basename(name))]:  # kill -9 in the middle of `whole`
        names.remove(torn)
        (out / torn).unlink()
    with whole(out / SUMS) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(f"{digest_path(out / name)}  {name}\n") for name in names))
    stamp["outputs"] = {
        "files": len(names),
        "bytes": sum((out / name).stat().st_size for name in names),
        "digest": digest_path(out / SUMS),
    }
    with whole(out / RECEIPT) as temporary:
        temporary.write_text(json.dumps(stamp, indent=1))
    _swap(out, final)


def _swap(out: Path, final: Path) -> None:
    """Put a whole .partial in the place of what is there."""
    (out / KEY).unlink(missing_ok=True)
    old = _old(final)
    if os.path.lexists(final):
        final.rename(old)
    out.rename(final)
    if os.path.lexists(old):
        _retire(old)


def begun(folder: Path) -> list[str]:
    """Names of the directories in a folder that a stage has finished, works on, or was putting in place."""
    names = set()
    for path in folder.glob("*"):
        begins, _, state = path.name.removeprefix(".").rpartition(".")
        if not path.name.startswith("."):
            names.add(begins if state == "partial" else path.name)
        elif state == "old" or state.startswith("discard-"):
            names.add(begins)
    return sorted(names)


def is_torn(final: Path) -> bool:
    """Whether a run was stopped while it put the directory in its place, or cleared up."""
    out = final.with_name(f"{final.name}.partial")
    return _is_whole(out) or os.path.lexists(_old(final)) or bool(_discarded(final))


def recover(final: Path) -> None:
    """Bring to its end what a stopped run had begun. For one process at a time."""
    out, old = final.with_name(f"{final.name}.partial"), _old(final)
    if os.path.lexists(old) and os.path.lexists(final):
        _retire(old)
    if _is_whole(out):
        _swap(out, final)
    elif os.path.lexists(old):
        old.rename(final)
    for rubbish in _discarded(final):
        _sweep(rubbish, final)


def _is_whole(out: Path) -> bool:
    return not out.is_symlink() and (out / RECEIPT).is_file()


def _old(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")


def _discarded(final: Path) -> list[Path]:
    return sorted(final.parent.glob(f".{final.name}.discard-*"))


# --- what goes -------------------------------------------------------------------------------------------------------


def _retire(place: Path) -> None:
    """Take a directory out of the way, under a name that says so, then clear it up."""
    final = place.with_name(place.name.removesuffix(".partial").removeprefix(".").removesuffix(".old"))
    rubbish = place.with_name(f".{final.name}.discard-{secrets.token_hex(4)}")
    place.rename(rubbish)
    _sweep(rubbish, final)


def _sweep(rubbish: Path, final: Path) -> None:
    """Delete what is ours of a discarded directory, set the rest aside. The new one is in its place: no error ends it.

    The list of what is ours goes last, so that a killed sweep can be gone on with.
    """
    try:
        if _key(rubbish) is not None:
            theirs, last = [], [KEY]
        else:
            theirs, last = _not_kept(rubbish, final), [SUMS, RECEIPT]
        ours = set(there(rubbish)).difference(theirs) if theirs != [""] else set()
        if theirs:
            _put_aside(rubbish, final.name, theirs)
        if theirs == [""]:
            return
        for name in sorted(ours.difference(last)):
            (rubbish / name).unlink()
        for folder, _, _ in os.walk(rubbish, topdown=False):
            if folder != str(rubbish):
                os.rmdir(folder)
        for name in last:
            (rubbish / name).unlink(missing_ok=True)
        rubbish.rmdir()
    except OSError as e:
        print(f"{rubbish}: cannot be cleared up yet: {explained(e)}", file=sys.stderr, flush=True)


def _not_kept(rubbish: Path, final: Path) -> list[str]:
    """Strangers of a discarded directory. A stage that took over what was there (`FIX=1`) holds the content of all of
    it that it did not write itself: only what came later is left out of that."""
    done, before = receipt(final) or {}, receipt(rubbish) or {}
    # an import that is made again: what the last one brought is its own
    names = strangers(rubbish, taken_over=not done.get("stage") == before.get("stage") == IMPORTER)
    if not names or names == [""] or not done.get("adopted"):
        return names
    ours, kept = listed(rubbish), set(listed(final).values())
    lists = (SUMS, RECEIPT) if ours else ()
    return [
        name
        for name in names
        if name not in lists and not (is_file(path := rubbish / name) and digest_path(path) in kept | {ours.get(name)})
    ]


def _put_aside(place: Path, name: str, names: list[str]) -> None:
    """Move these files of a directory, or it itself ([""]), to a new corner of .aside, and say so."""
    corner = new_corner(place.parent, name)
    for each in names:
        set_aside(place / each if each else place, corner, each or name)
    print(f"{name}: what was there and not its own is now in {corner}", file=sys.stderr, flush=True)
