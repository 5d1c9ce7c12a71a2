"""The tree that FlashAvatar's own train.py reads, made of a subject's dataset/ and masks/:

    <folder>/dataset/<ID>/                          imgs  alpha  parsing     -> data/<ID>/dataset, data/<ID>/masks
    <folder>/metrical-tracker/output/<ID>/          checkpoint               -> data/<ID>/dataset

Links unless copies are asked for. FlashAvatar writes log/ into dataset/<ID>, so that is a folder, and stays. A file of
ours in each of the two says what was made there: what it does not name is never overwritten.
"""

import errno
import json
import os
import shlex
import shutil
from pathlib import Path

from avatarmake import ROOT, assets
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.progress import progress
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.files.locking import locked
from avatarmake.files.whole import whole
from avatarmake.flashavatar_tree.checks import Checked, check, check_names, folders, names

REPOSITORY = "https://github.com/USTC3DV/FlashAvatar-code"
CHECKOUT = ROOT / "upstream" / "FlashAvatar"
MARK = "avatarmake.json"  # what we made, beside it; FlashAvatar looks at neither of the two folders' listings
SUMS = "avatarmake.sha256"  # copies as we made them: a file that was changed since is its changer's
LICENSED = {  # what its train.py reads and its repository may not hold -> our assets for it, the first that is there
    "flame/generic_model.pkl": ("flame2020", "flame2023"),
    "flame/FLAME_masks/FLAME_masks.pkl": ("flame_masks",),
}


def make(subject: Subject, folder: Path, copy: bool) -> tuple[Checked, bool]:
    """Make the tree below `folder`, whole or not at all. -> what was checked, and whether there was anything to do."""
    _refuse_place(subject, folder)
    checked = check(subject)
    folder.mkdir(parents=True, exist_ok=True)
    homes = _homes(subject, folder)
    with locked(folder):  # one at a time, and no file left behind
        for home, sources in homes.items():
            _refuse_others(home, sources)
        marks = {home: _mark(subject, home, sources, checked, copy) for home, sources in homes.items()}
        if all(_is_there(home, homes[home], mark) for home, mark in marks.items()):
            return checked, False
        for home, sources in homes.items():
            _refuse_changed(home, sources)
        _build(homes, marks, copy)
    return checked, True


def _homes(subject: Subject, folder: Path) -> dict[Path, list[Path]]:
    """The two folders of the tree -> the folders of the subject that appear in each."""
    *pictures, checkpoint = folders(subject)
    return {
        folder / "dataset" / subject.name: pictures,
        folder / "metrical-tracker" / "output" / subject.name: [checkpoint],
    }


def _refuse_place(subject: Subject, folder: Path) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise StageError("is no folder", folder, "Name one with --to", Exit.USAGE)
    for name in WRITER:
        if folder.resolve().is_relative_to(subject.directory(name).resolve()):
            raise StageError("belongs to a stage", folder, "Name another folder with --to", Exit.USAGE)


# --- what is ours ---------------------------------------------------------------------------------------------------


def _mark(subject: Subject, home: Path, sources: list[Path], checked: Checked, copy: bool) -> dict:
    """What will be said of a folder: copies by their number of frames, links by where they go."""
    links = {s.name: os.path.relpath(s.resolve(), home.parent.resolve() / home.name) for s in sources}
    about = {"frames": checked.frames, "made of": checked.digests, **checked.about}
    return {"made by": f"avatarmake, of {subject.name}", **about} | (
        {"copies": sorted(links)} if copy else {"links": links}
    )


def _read_mark(home: Path) -> dict | None:
    try:
        mark = json.loads((home / MARK).read_text())
        return mark if isinstance(mark, dict) else None
    except (OSError, ValueError):
        return None


def _refuse_others(home: Path, sources: list[Path]) -> None:
    """Raises StageError where what would be replaced is not what our mark names."""
    mark = _read_mark(home)
    way_out = "Move it away, or name another folder with --to"
    if mark is None and os.path.lexists(home):
        raise StageError("is there already, and was not made by this command", home, way_out, Exit.USAGE)
    for entry in [home / s.name for s in sources]:
        if entry.is_symlink():
            ours = mark.get("links", {}).get(entry.name) == os.readlink(entry)
        elif entry.is_dir():
            ours = entry.name in mark.get("copies", []) and not _strays(entry, mark)
        else:
            ours = not entry.exists()
        if not ours:
            raise StageError("holds or is something that this command did not make", entry, way_out, Exit.USAGE)


def _refuse_changed(home: Path, sources: list[Path]) -> None:
    """Raises StageError for a copy that is not as we made it. By content: it takes seconds, and is about to go."""
    sums = (home / SUMS).read_text() if (home / SUMS).exists() else ""
    made = {name: digest for digest, _, name in (line.partition("  ") for line in sums.splitlines())}
    for copies in [home / s.name for s in sources if (home / s.name).is_dir() and not (home / s.name).is_symlink()]:
        for path in sorted(copies.iterdir()):
            if digest_path(path) != made.get(path.relative_to(home).as_posix()):
                what = "was changed since this command copied it"
                raise StageError(what, path, f"Move {copies} away, or name another folder with --to", Exit.USAGE)


def _strays(entry: Path, mark: dict) -> set[str]:
    return {p.name for p in entry.iterdir()} - names(entry.name, mark.get("frames", 0))


def _is_there(home: Path, sources: list[Path], mark: dict) -> bool:
    """Whether a folder is what the mark says, to the sizes of copied files."""
    if _read_mark(home) != mark or not all(os.path.lexists(home / s.name) for s in sources):
        return False
    return "links" in mark or all(_sizes(home / s.name) == _sizes(s) for s in sources)


def _sizes(folder: Path) -> dict[str, int]:
    return {entry.name: entry.stat().st_size for entry in os.scandir(folder)}


# --- making it ------------------------------------------------------------------------------------------------------


def _build(homes: dict[Path, list[Path]], marks: dict[Path, dict], copy: bool) -> None:
    """All of it beside its place first, then renamed in: the checkpoint goes first and comes last, and without it
    train.py starts on nothing. Whatever moment this is killed at, what lies there is what the mark beside it names."""
    new = {home: home.with_name(f".{home.name}.new") for home in homes}
    try:
        for home, sources in homes.items():
            _clear(new[home])
            (new[home] / "old").mkdir(parents=True)
            for source in sources:
                _copied(source, new[home], marks[home]["frames"]) if copy else _linked(source, new[home], marks[home])
        for home in reversed(homes):
            for source in homes[home]:
                if os.path.lexists(home / source.name):
                    (home / source.name).rename(new[home] / "old" / source.name)
        for home, sources in homes.items():
            _write_mark(home, marks[home], new[home])
            for source in sources:
                (new[home] / source.name).rename(home / source.name)
    finally:
        for place in new.values():
            _clear(place)


def _write_mark(home: Path, mark: dict, place: Path) -> None:
    """A home that is new appears with its mark in it."""
    first = home if home.exists() else place / "home"
    first.mkdir(exist_ok=True)
    copies = [path for name in mark.get("copies", []) for path in sorted((place / name).iterdir())]
    with whole(first / SUMS) as temporary:
        temporary.write_text("".join(f"{digest_path(p)}  {p.relative_to(place).as_posix()}\n" for p in copies))
    with whole(first / MARK) as temporary:
        temporary.write_text(json.dumps(mark, indent=1))
    if first != home:
        first.rename(home)


def _clear(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)


def _linked(source: Path, place: Path, mark: dict) -> None:
    try:
        (place / source.name).symlink_to(mark["links"][source.name], target_is_directory=True)
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise StageError("its file system has no links", place.parent, "Add --copy", Exit.ENVIRONMENT) from e


def _copied(source: Path, place: Path, frames: int) -> None:
    target = place / source.name
    target.mkdir()
    for name in progress(sorted(names(source.name, frames)), label=source.name, unit="files"):
        shutil.copyfile(source / name, target / name)
    check_names(target, frames, "Run it again")


# --- what the command says --------------------------------------------------------------------------------------------


def show(subject: Subject, to: Path | None, copy: bool) -> None:
    """Make the tree, and say what was made and how to train on it."""
    folder = to or CHECKOUT
    if to is None and not (CHECKOUT / "train.py").exists():
        raise StageError(
            "there is no checkout of FlashAvatar",
            CHECKOUT,
            f"git clone --recurse-submodules {REPOSITORY} {CHECKOUT}, or name a folder with --to",
            Exit.MISSING_ASSET,
        )
    checked, made = make(subject, folder, copy)
    what = "copies" if copy else "links"
    for home, sources in _homes(subject, folder).items():
        print(f"{'made' if made else 'nothing to do'}: {home}: {what} of {', '.join(s.name for s in sources)}")
    for line in [*checked.notes(), *_to_train(subject.name, folder)]:
        print(line)


def _to_train(name: str, folder: Path) -> list[str]:
    """The command line, and what is lacking for it."""
    is_checkout = (folder / "train.py").exists()
    place = shlex.quote(str(folder)) if is_checkout else "<your checkout of FlashAvatar>"
    lines = [] if is_checkout else [f"{folder} is no checkout of FlashAvatar: link or copy the two folders into yours"]
    lacks = [_lack(folder / file, known) for file, known in LICENSED.items() if not (folder / file).exists()]
    return [
        *lines,
        *(["it lacks what its repository may not hold:", *lacks] if is_checkout and lacks else []),
        "train on it, in FlashAvatar's own environment:",
        f"  cd {place} && python train.py --idname {name}",
        "on torch 2.6 or later, which reads no numpy arrays unless told to:",
        f"  cd {place} && {_on_new_torch()} --idname {name}",
    ]


def _lack(file: Path, known: tuple[str, ...]) -> str:
    """How a licensed file gets where FlashAvatar looks for it."""
    there = [path for path in map(assets.find, known) if path]
    source = there[0] if there else assets.folder() / assets.manifest()[known[0]].file
    first = "" if there else f"make assets GET={known[0]} ({assets.manifest()[known[0]].licence}), then "
    return f"  {first}install -D {shlex.quote(str(source))} {shlex.quote(str(file))}"


def _on_new_torch() -> str:
    """Our patched copy names what may be read; where there is none, torch's own switch trusts the files wholly."""
    from avatarmake import patches

    try:
        return f"python {shlex.quote(str(patches.prepare('FlashAvatar') / 'train.py'))}"
    except StageError:
        return "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 python train.py"
