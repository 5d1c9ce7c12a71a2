"""The source archive of a package that is patched, by its hash from where pip's settings point."""

import hashlib
import ssl
import tarfile
import tempfile
import tomllib
import urllib.request
from pathlib import Path

from avatarmake import registry
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.patches import unpacking
from avatarmake.patches.series import Upstream

SDISTS = registry.HOME / "sdists"


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
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole(place) as part:
        part.write_bytes(content)
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
