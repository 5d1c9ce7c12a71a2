"""Images to other hosts: by a registry (push, pull), or as files (save, load). A host that has them builds nothing."""

import contextlib
import json
import tarfile
from pathlib import Path

from docker.errors import APIError, ImageLoadError, ImageNotFound, NotFound

from avatarmake import host
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import load as load_stage
from avatarmake.engine import context, docker, image_pins, kind
from avatarmake.engine.image_pins import Pin
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.files.whole import whole

SUMS = "SHA256SUMS"


def push(stages: list[str], registry: str) -> None:
    """Build what has changed of these images (all without a name), push them, and note their digests."""
    connection = docker.client()
    for stage, of, short in _known(stages):
        image, _ = docker.build(stage, kind=of)
        name, tag = f"{_checked(registry)}/{short}", tag_of(stage, of)
        image.tag(name, tag)
        digest = ""
        try:
            for line in connection.api.push(name, tag, stream=True, decode=True):
                if "error" in line:
                    raise _refused(registry, line["error"])
                digest = line.get("aux", {}).get("Digest", digest)
        except APIError as e:
            raise _refused(registry, str(e.explanation or e)) from e
        finally:
            _untag(connection, f"{name}:{tag}")
        pin = Pin(image.id, name, digest, _sources(stage, of))
        image_pins.write({short: pin})
        print(f"{short}: {pin.reference}", flush=True)


def pull(stages: list[str], registry: str) -> None:
    """Pull these images (all without a name) as they are for the present sources; what is here already is left alone.

    By the digest that images.lock says, else by the digest of the sources. Raises StageError for another image.
    """
    connection = docker.client()
    for stage, of, short in _known(stages):
        name, pin = f"{_checked(registry)}/{short}", image_pins.read().get(short)
        pin = pin if pin and pin.sources == _sources(stage, of) else None
        there = docker.image(stage, of)
        if there is not None and docker.is_current(stage, of) and (pin is None or pin.image == there.id):
            print(f"{short}: nothing to do, the image is up to date: {there.short_id}", flush=True)
            continue
        reference = f"{name}@{pin.digest}" if pin else f"{name}:{tag_of(stage, of)}"
        try:
            image = connection.images.pull(name, tag=pin.digest if pin else tag_of(stage, of))
        except (ImageNotFound, NotFound) as e:
            what = f"the registry has no image of the present sources: {e.explanation or e}"
            advice = f"Where they are: make push REGISTRY={registry}; or build it here: make image/{stage}"
            raise StageError(what, reference, advice, Exit.ENVIRONMENT) from e
        except APIError as e:
            raise _refused(registry, str(e.explanation or e)) from e
        digest = next((d.partition("@")[2] for d in image.attrs["RepoDigests"] if d.startswith(f"{name}@")), "")
        try:
            if not docker.is_of_these_sources(stage, image, of) or pin and image.id != pin.image:
                raise StageError("is not an image of the present sources", reference, "Push it anew", Exit.ENVIRONMENT)
            image.tag(docker.tag(stage, of))
        finally:
            _untag(connection, reference)
        image_pins.write({short: Pin(image.id, name, digest, _sources(stage, of))})
        print(f"{short}: {name}@{digest}", flush=True)


def save(stages: list[str], folder: Path) -> None:
    """Build what has changed of these images (all without a name) and write each as a file, with their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage, of, short in _known(stages):
        image, _ = docker.build(stage, kind=of)
        path = folder / f"{short}.tar"
        with whole(path) as temporary, temporary.open("wb") as out:
            for chunk in image.save(named=docker.tag(stage, of)):
                out.write(chunk)
        listed = sums(folder) | {path.name: digest_path(path)}
        with whole(folder / SUMS) as temporary:
            temporary.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items())))
        print(f"{path}: {host.size(path.stat().st_size)}, {image.short_id}", flush=True)


def load(stages: list[str], folder: Path) -> None:
    """Take the images of these stages (of all that there are, without a name) from files that `save` wrote."""
    listed = sums(folder)
    if not listed:
        raise StageError(f"there is no {SUMS}", folder, "Give the folder that `make save` wrote: FROM=...")
    connection = docker.client()
    for stage, of, short in _known(stages or STAGES):
        path = folder / f"{short}.tar"
        if not stages and path.name not in listed:
            continue
        if not path.exists() or digest_path(path) != listed.get(path.name):
            raise StageError("is not there, or is not what `make save` wrote", path, "Copy it anew")
        if tags(path) != [docker.tag(stage, of)]:
            raise StageError(f"holds {', '.join(tags(path)) or 'no image'}, not {docker.tag(stage, of)}", path)
        with path.open("rb") as f:
            try:
                connection.images.load(f)
            except (APIError, ImageLoadError) as e:
                raise StageError(f"Docker does not take it: {e}", path, exit=Exit.ENVIRONMENT) from e
        fits = "of the present sources" if docker.is_current(stage, of) else "of other sources: it would be built anew"
        print(f"{short}: {docker.image(stage, of).short_id}, {fits}", flush=True)


def tags(path: Path) -> list[str]:
    """The names that loading an archive of images would give: nobody's else may be among them."""
    try:
        with tarfile.open(path) as tar:
            listed = json.load(tar.extractfile("manifest.json"))
        return sorted(name for image in listed for name in image["RepoTags"] or [])
    except (tarfile.TarError, KeyError, TypeError, ValueError, RecursionError) as e:
        raise StageError(f"is no archive of an image: {e}", path) from e


def _known(stages: list[str]) -> list[tuple[str, str, str]]:
    """Stage, kind (as TORCH= says, or for this host), and what that image is called."""
    names = [load_stage(name).name for name in stages or STAGES]
    kinds = [kind.choose(stage, daemon=docker.info).name for stage in names]
    return [(stage, of, docker.short(stage, of)) for stage, of in zip(names, kinds, strict=True)]


def _checked(registry: str) -> str:
    if not registry or "://" in registry or registry.endswith("/"):
        what = f"'{registry}' is no registry" if registry else "which registry?"
        raise StageError(what, next="Type: make push REGISTRY=host:5000/me", exit=Exit.USAGE)
    return registry


def _sources(stage: str, of: str) -> str:
    """Of what an image is made of besides its base: known on a host that has no base."""
    return context.digest(stage, "", of)


def tag_of(stage: str, of: str) -> str:
    """The tag in a registry of an image of the present sources and of a kind."""
    return _sources(stage, of)[:16]


def sums(folder: Path) -> dict[str, str]:
    """The files that `save` wrote into a folder, name -> digest."""
    path = folder / SUMS
    lines = path.read_text().splitlines() if path.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _untag(connection, reference: str) -> None:
    """Of a registry's names none stays: the image has ours, and is swept once it has lost that."""
    with contextlib.suppress(APIError, ImageNotFound):
        connection.images.remove(reference, noprune=True)


def _refused(registry: str, said: str) -> StageError:
    advice = "Log in with `docker login`; one without TLS has to be named in the daemon's insecure-registries"
    return StageError(f"the registry refuses: {said.strip()}", registry, advice, Exit.ENVIRONMENT)
