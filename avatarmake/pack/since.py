"""How this checkout differs from the one that a pack was made by, in words: stages, versions, the changelog's."""

import re

from avatarmake import ROOT, __version__, patches
from avatarmake.contract.closure import closure
from avatarmake.contract.key import NO_RESULT
from avatarmake.files.digests import digest_files, digest_path
from avatarmake.pack import tree
from avatarmake.pack.contents import CHANGES, locks
from avatarmake.pack.pack import Pack


def stages_changed(pack: Pack) -> dict[str, list[str]]:
    """Stages that this checkout would not run as they ran: name -> what of them is another, code or lock or patches."""
    found = {}
    for directory, stamp in pack.stamps.items():
        stage, parts = pack.stage(directory), stamp["parts"]
        lock = ROOT / "docker" / stage.name / "requirements.lock"
        now = {
            "code": digest_files([path for path in closure(stage.name) if path not in NO_RESULT], ROOT),
            "lock": digest_path(lock),
            "patches": patches.digest(stage.upstream) if stage.upstream else None,
        }
        then = {
            "code": parts.get("code"),
            "lock": parts.get("environment"),
            "patches": pack.about["patches"].get(stage.upstream) if stage.upstream else None,
        }
        if others := [name for name in now if now[name] != then[name]]:
            found[stage.name] = others
    return found


def said(pack: Pack) -> list[str]:
    """What is another here, a line each; nothing where every stage would run as it ran."""
    changed = stages_changed(pack)
    if not changed:
        return []
    lines = [f"{stage}: another {' and '.join(what)}" for stage, what in changed.items()]
    then, now = pack.about["avatarmake"], __version__
    if then != now:
        lines.append(f"The pack is of avatarmake {then}, this is {now}; what changed since, by CHANGELOG.md:")
        lines += [f"  {line}" for line in changes_since(then, (ROOT / "CHANGELOG.md").read_text())]
    others = [name for name, digest in locks([]).items() if pack.about["locks"].get(name, digest) != digest]
    lines += [f"{name} is another" for name in others]
    return lines


def changes_since(version: str, changelog: str) -> list[str]:
    """The first words of every entry of the versions after `version`, which need not be one of the changelog's."""
    lines = []
    for heading, body in re.findall(r"^## \[([\d.]+)\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL):
        if _numbers(heading) > _numbers(version):
            entries = re.findall(r"^- (.*(?:\n  .*)*)", body, re.MULTILINE)
            lines += [f"{heading}: {_first(entry)}" for entry in entries]
    return lines


def way_back(pack: Pack) -> str:
    """What to type for the checkout that the pack was made by; "" where it does not say which that is."""
    revision = pack.about["revision"]
    if revision == "unknown":
        return ""
    diff = pack.folder / CHANGES
    return tree.way_to(revision, str(diff.absolute()) if diff.exists() else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _first(entry: str) -> str:
    """An entry's first sentence, on one line."""
    text = " ".join(entry.split())
    return re.split(r"(?<=[.:;])\s", text)[0].rstrip(".:;")
