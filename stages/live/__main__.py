"""live: serves the avatar's page with a camera until it is stopped. Nothing is written."""

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import Annotated

# Matrices of one face are small: threads that wait for each other would take more than they give.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from avatarmake import head_model
from avatarmake.avatar import tracked
from avatarmake.avatar.model import Avatar
from avatarmake.contract.command import failures
from avatarmake.contract.key import finished
from avatarmake.contract.layout import Subject
from avatarmake.detection import FaceMesh
from avatarmake.errors import Exit, StageError
from avatarmake.head_model.model import NECK
from stages.live import STAGE, LiveConfig
from stages.live.follower import Follower
from stages.live.server import Live
from stages.live.session import Session, Trunk
from stages.view import content
from stages.view.packing import pack
from stages.view.page import POLICY, page

SCRIPT = Path(__file__).with_name("live.js")


def live(subject: Subject, config: LiveConfig) -> Live:
    """Raises StageError for what is missing."""
    for directory in STAGE.reads:
        finished(subject, directory)
    avatar = Avatar.read(subject)
    if avatar.head_model != "open":
        what = f"this avatar stands on '{avatar.head_model}', and the page moves the open head only"
        raise StageError(what, subject.root, f"Run: make track train ID={subject.name} HEAD_MODEL=open")
    own = tracked.of_dataset(subject.directory("refined"), subject.name)
    packed = pack(content.facts(avatar, own), content.arrays(avatar, own.at(own.times[:1])))
    head = head_model.load(avatar.head_model)

    def text(port: int) -> str:
        policy = f"{POLICY}; connect-src ws://127.0.0.1:{port}"
        return page(avatar.name, packed, policy, SCRIPT.read_text().rstrip("\n"))

    def session() -> Session:
        mesh = FaceMesh(static=False)

        def follower(size: tuple[int, int]) -> Follower:
            mesh.restart()
            return Follower(head, size, config.focal * max(size), mesh.detect, config.lag)

        trunk = Trunk(avatar.head.joints[NECK], avatar.seconds) if avatar.seconds else None
        return Session(own, follower, config.gain, mesh.close, trunk)

    return Live(text, session)


async def forever(served: Live, port: int, socket: Path | None) -> None:
    try:
        server = await served.open(port, socket)
    except OSError as e:
        if e.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise StageError(f"port {port} cannot be had: {e.strerror}", next="Leave it out", exit=Exit.ENVIRONMENT) from e
    print(f"live: open {served.address}", flush=True)
    print("live: nothing leaves this machine, nothing is kept; Ctrl-C ends it", flush=True)
    await server.serve_forever()


def main(argv: list[str] | None = None) -> int:
    import cyclopts

    app = cyclopts.App(name="python -m stages.live", help=STAGE.summary, version_flags=[])

    @app.default
    def _(
        subject: str,
        *,
        data: Path = Path("data"),
        config: Annotated[LiveConfig, cyclopts.Parameter(name="*")] = None,
    ) -> None:
        config = config or LiveConfig()
        try:
            asyncio.run(forever(live(Subject(data, subject), config), config.port, config.socket))
        except KeyboardInterrupt:
            print("\nlive: ended", flush=True)

    with failures("live") as outcome:
        app(sys.argv[1:] if argv is None else argv, exit_on_error=False, result_action="return_value")
    return int(outcome.code)


if __name__ == "__main__":
    sys.exit(main())
