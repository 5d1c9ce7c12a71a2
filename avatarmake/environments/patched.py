"""A patched Python package: from its hash-checked sdist to a wheel of ours, without running any of its code.

The wheel's bytes depend on the sdist and the rules alone (fixed times, sorted, stored uncompressed), so a lock file
can pin its hash although every host makes its own.
"""

import base64
import hashlib
import re
import tempfile
import zipfile
from pathlib import Path

from avatarmake import patches, registry
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.patches import series
from avatarmake.patches.series import Upstream

WHEELS = registry.HOME / "patched" / "wheels"  # a folder of links for pip and uv


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
    upstream = series.load(name).upstream
    content = _wheel(upstream, patches.prepare(name))
    place = WHEELS / f"{upstream.package}-{upstream.release}-py3-none-any.whl"
    if not place.exists() or place.read_bytes() != content:
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole(place) as part:
            part.write_bytes(content)
    return place


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
