"""A patched Python package: from its hash-checked sdist to a wheel of ours, without running any of its code.

The wheel's bytes depend on the sdist and the rules alone (fixed times, sorted, stored uncompressed), so a lock file
can pin its hash although every host makes its own.
"""

import base64
import hashlib
import os
import re
import ssl
import tarfile
import tempfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path

from stages.engine import registry
from stages.errors import Exit, StageError
from stages.patches import series, unpacking
from stages.patches.series import Upstream

WHEELS = registry.HOME / "patched" / "wheels"  # a folder of links for pip and uv
SDISTS = registry.HOME / "sdists"


def wheels(requirements: str) -> list[Path]:
    """The wheels of the patched packages that a requirements file or lock pins, made unless they are there.

    Raises StageError when a lock pins other bytes: uv would go on with those from its cache, and nobody would know.
    """
    made = []
    for name in series.names():
        of = series.upstream(name)
        pin = re.escape(f"{of.package}=={of.release}")
        said = re.search(rf"^{pin}((?:[ \t]*\\?\s+--hash=sha256:\w+)*)\s*$", requirements, re.MULTILINE)
        if of.package and said:
            made.append(wheel(name))
            if said[1] and hashlib.sha256(made[-1].read_bytes()).hexdigest() not in said[1]:
                what = f"makes another wheel than the lock pins as {of.package}=={of.release}"
                advice = "Raise its release there and in requirements.in, then: make lock"
                raise StageError(what, f"patches/{name}", advice, Exit.INTERNAL)
    return made


def links(requirements: str) -> list[str]:
    """pip's and uv's flag for where those wheels are; nothing where none is pinned."""
    return [f"--find-links={WHEELS}"] if wheels(requirements) else []


def wheel(name: str) -> Path:
    """The wheel of the patched package, made unless it is there."""
    from stages import patches  # which needs this module

    upstream = series.load(name).upstream
    content = _wheel(upstream, patches.prepare(name))
    place = WHEELS / f"{upstream.package}-{upstream.release}-py3-none-any.whl"
    if not place.exists() or place.read_bytes() != content:
        _write(place, content)
    return place


def unpack(upstream: Upstream, into: Path) -> None:
    """The sdist's files at `into`, without its outermost folder."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch, tarfile.open(sdist(upstream)) as archive:
        unpacking.unpack(archive, Path(scratch))
        (Path(scratch) / f"{upstream.package}-{upstream.version}").rename(into)


def sdist(upstream: Upstream) -> Path:
    """The package's source archive, fetched by its hash from where pip's settings point."""
    place = SDISTS / f"{upstream.package}-{upstream.version}.tar.gz"
    if place.exists() and hashlib.sha256(place.read_bytes()).hexdigest() == upstream.sha256:
        return place
    url = _address(upstream)
    certificates = ssl.create_default_context(cafile=registry.settings().get("cert", [None])[0])
    try:
        with urllib.request.urlopen(url, context=certificates, timeout=60) as answer:
            content = answer.read()
    except OSError as e:
        advice = f"{registry.ADVICE}. Or put it at {place}"
        raise StageError(f"cannot be fetched: {e}", url, advice, Exit.ENVIRONMENT) from e
    got = hashlib.sha256(content).hexdigest()
    if got != upstream.sha256:
        what = f"is another file than the patches are for: sha256 {got}, expected {upstream.sha256}"
        raise StageError(what, url, registry.ADVICE, Exit.ENVIRONMENT)
    _write(place, content)
    return place


def _address(upstream: Upstream) -> str:
    """Where the sdist is. uv looks it up; told what the package depends on, it has no reason to run its setup.py."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, told = Path(scratch) / "asked.in", Path(scratch) / "uv.toml"
        asked.write_text(f"{upstream.package}=={upstream.version}\n")
        told.write_text(f'[[dependency-metadata]]\nname = "{upstream.package}"\nversion = "{upstream.version}"\n')
        flags = ("--quiet", "--no-deps", "--no-header", "--format=pylock.toml", f"--config-file={told}")
        found = registry.uv("pip", "compile", *flags, *registry.uv_flags(), str(asked))
    address = tomllib.loads(found)["packages"][0].get("sdist", {}).get("url")
    if not address:
        what = f"{upstream.package} {upstream.version} has no sdist there"
        raise StageError(what, next=registry.ADVICE, exit=Exit.ENVIRONMENT)
    return address


def _wheel(upstream: Upstream, folder: Path) -> bytes:
    """The package's modules and the three files that make them a wheel (PEP 427)."""
    info = f"{upstream.package}-{upstream.release}.dist-info"
    modules = sorted(path for path in (folder / upstream.package).rglob("*.py"))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in modules}
    metadata = [("Metadata-Version", "2.1"), ("Name", upstream.package), ("Version", upstream.release)]
    metadata += [("License", upstream.licence), *(("Requires-Dist", name) for name in upstream.requires)]
    tags = [("Wheel-Version", "1.0"), ("Generator", "avatarmake"), ("Root-Is-Purelib", "true"), ("Tag", "py3-none-any")]
    files[f"{info}/METADATA"] = "".join(f"{key}: {value}\n" for key, value in metadata).encode()
    files[f"{info}/WHEEL"] = "".join(f"{key}: {value}\n" for key, value in tags).encode()
    rows = [f"{name},sha256={_record(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.create_system, entry.external_attr = 3, 0o100644 << 16
                archive.writestr(entry, content)
        packed.seek(0)
        return packed.read()


def _record(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}")
    part.write_bytes(content)
    part.rename(place)
