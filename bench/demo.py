"""How long the head model and the demo subject take, in processor seconds of one core.

    python -m bench.demo [frames]        (default 60; the demo has 300)

Medians of several runs; compile and import times are printed apart.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path


def seconds(work, runs: int) -> float:
    """Median of the processor time of several runs."""
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def main(frames: int) -> None:
    from avatarmake.head_model import open_head
    from stages.demo import scene, script
    from stages.demo.video import write_video

    size = 512
    print(f"open head, build        {seconds(open_head.build, 5):7.2f} s")
    model = open_head.build()
    act, behind = script.perform(frames, 25, size, 0), scene.ground(size)
    started = time.process_time()
    who = scene.subject(model, 0)
    print(f"subject, first time     {time.process_time() - started:7.2f} s")
    print(f"subject                 {seconds(lambda: scene.subject(model, 0), 3):7.2f} s")
    scene.render(who, who.points(act, 0), act, 0, size, behind)

    def film():
        return [scene.render(who, who.points(act, k), act, k, size, behind) for k in range(frames)]

    images = film()
    print(f"a frame, posed and lit  {1e3 * seconds(film, 3) / frames:7.1f} ms")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "video.mp4"
        encoding = seconds(lambda: write_video(path, images, 25, size), 3)
    print(f"a frame, encoded        {1e3 * encoding / frames:7.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
