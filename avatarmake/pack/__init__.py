"""A subject as one file that says how it was made, and what another host makes of it: `make pack`, `make reproduce`."""

from pathlib import Path

from avatarmake import host
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit, StageError
from avatarmake.pack import archive, contents, tree


def make(subject: Subject, wanted: list[str], diff: bool, to: Path | None) -> Path:
    """Write the pack of a subject and say what is in it. `to`: a file, or a folder to put it into."""
    target = to or Path(".")
    target = target / f"{subject.name}{archive.SUFFIX}" if target.is_dir() else target
    if not target.name.endswith(".tar.zst"):
        raise StageError("would be no pack's name", target, f"Give TO=folder, or TO=name{archive.SUFFIX}", Exit.USAGE)
    about, sources = contents.gather(subject, wanted, diff)
    listed = archive.write(target, about, sources)
    along = ", ".join(listed["data"]) or "no data: WITH=video,frames,avatar takes some along"
    size = host.size(target.stat().st_size)
    print(f"{target}: {size}, {len(listed['stages'])} stages, {len(sources)} files; {along}")
    if listed["revision"] == "unknown":
        print("This is no git checkout: the pack knows its code by digests only")
    elif contents.CHANGES in sources:
        print(f"of {listed['revision'][:12]} with {len(tree.modified())} changed files")
    else:
        print(f"of {listed['revision'][:12]}")
    return target
