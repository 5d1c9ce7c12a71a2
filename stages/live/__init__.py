"""live: the avatar's page with a camera, served to this machine alone; nothing is kept unless it is recorded."""

from dataclasses import dataclass
from pathlib import Path

from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError


@dataclass(frozen=True)
class LiveConfig:
    port: int = option(0, "of 127.0.0.1; 0: any that is free")
    focal: float = option(1.2, "the camera's focal length, in the longer edge of its picture: 1.2 is 45 degrees across")
    gain: float = option(1.0, "how much of one's expression and jaw: 1 is as much")
    socket: Path | None = option(None, "a file to listen on instead, for one who hands on what comes to the port")
    lag: int = option(1, "frames that it waits, to be steadier: 0 to 2")

    def __post_init__(self):
        if not 0 <= self.lag <= 2 or not 0 <= self.gain <= 4 or not 0.3 <= self.focal <= 10:
            raise StageError("lag must be 0 to 2, gain 0 to 4, focal 0.3 to 10", exit=Exit.USAGE)
        if not 0 <= self.port < 65536:
            raise StageError(f"there is no port {self.port}", next="Give 0 to 65535", exit=Exit.USAGE)


STAGE = Stage(
    name="live",
    summary="the avatar's page with a camera: it does what you do",
    reads=("refined", "avatar"),
    writes="",
    config=LiveConfig,
    uses=("track", "view", "drive"),
)
