"""Volumes with subjects that have been through stages, as their receipts say."""

import json
from pathlib import Path

import pytest

from avatarmake.batch.subjects import Line
from avatarmake.contract.key import key_of
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import KEY, publish
from avatarmake.contract.receipts import receipt
from avatarmake.contract.stage import load
from avatarmake.engine import request


class Volume:
    """Stages are not run: what they would have written is a file, and the receipt is a true one."""

    def __init__(self, root: Path):
        self.data = root / "data"
        self.video = root / "film.mp4"
        self.video.write_bytes(b"a film")

    def line(self, name: str, shards: int = 1, **options: str) -> Line:
        return Line(name, self.video, options, shards)

    def finish(self, line: Line, *stages: str, peak_mb: float = 500.0, **facts) -> None:
        for name in stages:
            asked = self.request(line, name)
            place = asked.stage.writes
            out = Subject(self.data, line.id).partial(place)
            out.mkdir(parents=True, exist_ok=True)
            (out / "result.txt").write_text(f"{name} {line.options}")
            (out / KEY).write_text("")
            parts = asked.parts()
            stamp = {"stage": name, "subject": line.id, "key": key_of(parts), "parts": parts, "facts": facts}
            stamp |= {"config": {}, "environment": {"options": asked.options()}, "seconds": 2.0}
            publish(out, Subject(self.data, line.id).directory(place), stamp | {"peak_memory_mb": peak_mb})

    def request(self, line: Line, name: str) -> request.Request:
        stage = load(name)
        return request.parse(stage, [line.id, f"--data={self.data}", *line.words(stage)])

    def fail(self, line: Line, name: str, code: int, said: str = "it went wrong", memory_mb: int = 0) -> None:
        """What attempt.py leaves of a run that failed."""
        asked = self.request(line, name)
        root = Subject(self.data, line.id).root
        root.mkdir(parents=True, exist_ok=True)
        left = {"stage": name, "exit": code, "said": said, "parts": asked.parts(), "memory_mb": memory_mb}
        (root / f".{asked.stage.writes}.failed").write_text(json.dumps(left))

    def receipt(self, line: Line, directory: str) -> dict:
        return receipt(Subject(self.data, line.id).directory(directory))


@pytest.fixture
def volume(tmp_path) -> Volume:
    return Volume(tmp_path)
