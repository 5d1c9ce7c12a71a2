"""Docker's classic builder: one build with its steps shown, and what builds leave behind taken away.

Two kinds of images are left without a name: the last of each part of a Dockerfile that is only copied from, and those
whose name another build has taken over. Only what is known to be ours goes: the former by the ids that the builder
says, the latter by a label that is the very last of its steps (an image that a user builds upon ours inherits labels).
Nothing is forced, so what a container or another image stands on stays.
"""

import contextlib
import os
import re
import sys
from typing import IO

import docker
from docker.errors import APIError, NotFound

OURS = "stages.avatarmake."  # how our labels begin; by the alphabet they come last
STEP, ID = re.compile(r"Step \d+/\d+ : (\w+)"), re.compile(r" ---> ([0-9a-f]{12})")


class BuildError(Exception):
    """A build that stopped: `str()` is why, `said` are the lines that it printed."""

    def __init__(self, why: str, said: list[str]):
        super().__init__(why)
        self.said = said


def build(connection: docker.DockerClient, packed: IO[bytes], tag: str, arguments: dict, labels: dict) -> None:
    """Build what `packed` holds, with its file `Dockerfile`. It has no network: all that is needed is in there.

    Raises BuildError. However it ends, of its unnamed images none stays.
    """
    lines = connection.api.build(
        fileobj=packed,
        custom_context=True,
        tag=tag,
        buildargs=arguments,
        network_mode="none",
        labels=labels,
        rm=True,
        forcerm=True,
        decode=True,
    )
    said, ends = [], Ends()
    try:
        for line in lines:
            text = line.get("stream", "")
            ends.look(text)
            said += [text.rstrip()] if text.strip() else []
            if text.startswith("Step ") or os.environ.get("VERBOSE"):
                print(f"  {text.rstrip()}", file=sys.stderr, flush=True)
            if "error" in line:
                raise BuildError(line["error"], said)
    finally:
        for made in ends.made:
            _remove(connection, made)
        sweep(connection)


class Ends:
    """The last image of each part (FROM) of a Dockerfile, as far as a build has come, from the builder's own words."""

    def __init__(self):
        self.made: list[str] = []
        self._open = self._begins = False

    def look(self, text: str) -> None:
        if step := STEP.match(text):
            self._begins = step[1].upper() == "FROM"
            self._open = self._open and not self._begins
        elif found := ID.match(text):
            if self._begins:  # what the part stands on: not made here
                self._begins = False
            elif self._open:
                self.made[-1] = found[1]
            else:
                self.made.append(found[1])
                self._open = True


def sweep(connection: docker.DockerClient) -> None:
    """Remove images of ours that have lost their names."""
    for image in connection.images.list(filters={"dangling": True, "label": f"{OURS}inputs"}):
        with contextlib.suppress(NotFound, APIError):
            if f"LABEL {OURS}" in image.history()[0]["CreatedBy"]:
                _remove(connection, image.id)


def _remove(connection: docker.DockerClient, name: str) -> None:
    """With the unnamed images that it alone stands on; one that has a name or is in use stays."""
    with contextlib.suppress(NotFound, APIError):
        image = connection.images.get(name)
        if not image.attrs["RepoTags"] and not image.attrs["RepoDigests"]:
            connection.images.remove(image.id)
