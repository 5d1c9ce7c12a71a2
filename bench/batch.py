"""What it costs to learn where many subjects stand: `python -m bench.batch [--subjects 1000] [--files 5000]`.

One subject with true receipts of seven stages and some files is made, and linked as often as asked for. Times are of
one process; a batch takes one a core.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from avatarmake.batch import standing, table
from avatarmake.batch.batch import targets
from avatarmake.batch.page import write
from avatarmake.batch.subjects import Line, read
from avatarmake.contract.key import key_of
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import KEY, publish
from avatarmake.contract.stage import load
from avatarmake.engine import request


def make(data: Path, line: Line, target: str, files: int) -> None:
    """A finished directory of a stage, by its receipt: nothing is run."""
    stage = load(target)
    asked = request.parse(stage, [line.id, f"--data={data}", *line.words(stage)])
    out = Subject(data, line.id).partial(stage.writes)
    out.mkdir(parents=True)
    for k in range(files):
        (out / f"{k}.bin").touch()
    (out / KEY).touch()
    stamp = {"stage": target, "key": "", "parts": asked.parts(), "facts": {}, "config": {}, "seconds": 1.0}
    stamp |= {"environment": {"options": asked.options()}, "peak_memory_mb": 500.0, "key": key_of(asked.parts())}
    publish(out, Subject(data, line.id).directory(stage.writes), stamp)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--files", type=int, default=0, help="of each subject, in four of its directories")
    asked, wanted = parser.parse_args(), targets("")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        data, video = Path(folder) / "data", Path(folder) / "film.mp4"
        video.write_bytes(b"a film")
        time.sleep(0.05)  # so that receipts are younger
        for target in wanted:
            make(data, Line("s0", video), target, asked.files // 4 if target in wanted[:4] else 0)
        for k in range(1, asked.subjects):
            for place in (data / "s0").iterdir():
                if place.is_dir():
                    (data / f"s{k}" / place.name).mkdir(parents=True)
                    for file in os.scandir(place):
                        os.link(file.path, data / f"s{k}" / place.name / file.name)
        lst = Path(folder) / "all.csv"
        lst.write_text("id,video\n" + "".join(f"s{k},{video}\n" for k in range(asked.subjects)))
        began, cpu = time.perf_counter(), time.process_time()
        lines = read(lst, wanted, data)
        standing.TOGETHER = asked.subjects + 1
        rows = standing.look(lines, wanted, data, {}, {})
        looked = time.process_time() - cpu
        table.show(rows, write(rows, lst, data))
        used, wall = time.process_time() - cpu, time.perf_counter() - began
        each, page = (1e3 * seconds / asked.subjects for seconds in (looked, used - looked))
        done = f"{asked.subjects} subjects of {asked.files} files"
        print(f"{done}: {each:.1f} ms of one core each, {page:.1f} ms for the page")
        print(f"{wall:.1f} s in all")


if __name__ == "__main__":
    main()
