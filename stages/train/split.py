"""Which frames are trained on and which are kept unseen, for a video of any length."""

from dataclasses import dataclass

HELD_OUT = 0.1  # of the frames, for each of the two parts
BLOCK = 25  # frames of a held-out block at most: a second
BLOCKS = 4  # at least, where there are frames enough
FEWEST = 5  # with fewer frames than this nothing can be spared


@dataclass(frozen=True)
class Split:
    """Indices of the dataset's frames, each in exactly one part. One training leaves out both `last` and `blocks`."""

    train: tuple[int, ...]
    last: tuple[int, ...]  # the end of the video: as FlashAvatar does with its last 500
    blocks: tuple[int, ...]  # spread over the rest
    note: str = ""  # what a person should know about it

    @property
    def held_out(self) -> tuple[int, ...]:
        return tuple(sorted(self.last + self.blocks))


def split(frames: int) -> Split:
    """The last tenth, and blocks that make another tenth, evenly spread over what comes before."""
    if frames < FEWEST:
        return Split(tuple(range(frames)), (), (), f"{frames} frames: all are trained on, none is left to test with")
    last = max(round(frames * HELD_OUT), 1)
    rest = frames - last
    length = min(max(last // BLOCKS, 1), BLOCK)
    count = max(round(last / length), 1)
    middles = [rest * (k + 0.5) / count for k in range(count)]
    blocks = [i for m in middles for i in range(int(m - length / 2), int(m - length / 2) + length)]
    seen = [i for i in range(rest) if i not in set(blocks)]
    note = f"only {frames} frames: figures on {last} unseen ones say little" if last < 10 else ""
    return Split(tuple(seen), tuple(range(rest, frames)), tuple(blocks), note)
