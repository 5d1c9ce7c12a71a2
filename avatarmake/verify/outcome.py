"""`make verify`: runs, comparison, the table to paste into an issue, verify.json, and one line."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from avatarmake import ROOT, __version__, doctor, gpu
from avatarmake.contract.kinds import CPU
from avatarmake.contract.provenance import host_facts
from avatarmake.engine.revision import revision
from avatarmake.environments import venv
from avatarmake.errors import Exit
from avatarmake.files.whole import whole
from avatarmake.terminal import duration
from avatarmake.verify import figures, runs
from avatarmake.verify.reference import Difference, Reference
from avatarmake.verify.runs import Finished

CUDA_TESTS = ROOT / "tests" / "cuda"


@dataclass
class Outcome:
    """What came of it. `runs`: each with its figures and what is off; `notes`: what was not run, and why."""

    reference: Reference
    runs: list[tuple[Finished, dict[str, float], list[Difference]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cuda_tests: str = ""  # pytest's last line; nothing where they were not run
    cuda_tests_failed: bool = False

    @property
    def reproduces(self) -> bool:
        good = all(not finished.fault and not off for finished, _, off in self.runs)
        return bool(self.runs) and good and not self.cuda_tests_failed

    def line(self) -> str:
        """This host reproduces, or what differs and by how much."""
        if not self.runs:
            return "verify: nothing could be run here"
        if self.reproduces:
            names = ", ".join(finished.run.name for finished, _, _ in self.runs)
            count = len(self.reference.figures)
            return f"verify: this host reproduces: {names}, {count} figures of each within tolerance"
        bad = [(finished, off) for finished, _, off in self.runs if finished.fault or off]
        wrong = [f"{finished.run.name}: {_said(finished, off)}" for finished, off in bad]
        wrong += [f"tests/cuda: {self.cuda_tests}"] if self.cuda_tests_failed else []
        return f"verify: this host differs. {'; '.join(wrong)}"

    def table(self) -> str:
        """In Markdown: what this host is, the figures that a person looks at, times, tests, what was not run."""
        facts, done = host_facts(), [finished for finished, _, _ in self.runs]
        machine = f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB; {gpu.here()}"
        lines = [f"avatarmake {__version__}, {revision()[:10]}; {machine}", ""]
        lines += _row("figure", "reference", *(finished.run.name for finished in done))
        lines += _row("---", *["---:" for _ in [0, *done]])
        for name, words in figures.HEADLINES.items():
            expected = self.reference.figures.get(name)
            known = f"{expected.mean:.4g} ± {expected.tolerance:.2g}" if expected else "-"
            lines += _row(words, known, *(_number(values.get(name)) for _, values, _ in self.runs))
        lines += _row("figures out of tolerance", "0", *(str(len(off)) for _, _, off in self.runs))
        lines += _row("training", "", *(_time(finished.seconds().get("train")) for finished in done))
        lines += _row("all stages", "", *(_time(sum(finished.seconds().values())) for finished in done))
        said = [f"tests/cuda: {self.cuda_tests}"] if self.cuda_tests else []
        return "\n".join([*lines, "", *said, *self.notes])

    def facts(self) -> dict:
        return {
            "avatarmake": __version__,
            "revision": revision(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "reproduces": self.reproduces,
            "line": self.line(),
            "host": host_facts() | {"gpus": str(gpu.here())},
            "reference": self.reference.made,
            "notes": self.notes,
            "cuda_tests": self.cuda_tests,
            "runs": {
                finished.run.name: {
                    "subject": finished.subject.name,
                    "fault": finished.fault,
                    "differences": [str(one) for one in off],
                    "figures": values,
                    "seconds": finished.seconds(),
                }
                for finished, values, off in self.runs
            },
        }


def show(data: Path) -> int:
    """The whole of it. Returns an exit code: OK where this host reproduces."""
    doctor.show()
    outcome = Outcome(Reference.read())
    possible, outcome.notes = runs.possible()
    for run in possible:
        print(f"verify: {run.name}, as subject {run.subject(data).name}", flush=True)
        finished = runs.do(run, data, outcome.reference.options)
        values = {} if finished.fault else figures.read(finished.subject)
        off = [] if finished.fault else outcome.reference.differences(values)
        outcome.runs.append((finished, values, off))
    if said := runs.same_bytes([finished for finished, _, _ in outcome.runs]):
        outcome.notes.append(said)
    if cuda := next((run for run in possible if run.kind != CPU), None):
        outcome.cuda_tests, outcome.cuda_tests_failed = _cuda_tests(cuda.kind)
    place = data / "verify.json"
    data.mkdir(parents=True, exist_ok=True)
    with whole(place) as part:
        part.write_text(json.dumps(outcome.facts(), indent=1))
    print(f"\n{outcome.table()}\n\n{outcome.line()} ({place})", flush=True)
    return Exit.OK if outcome.reproduces else Exit.INTERNAL


def _cuda_tests(kind: str) -> tuple[str, bool]:
    """pytest's last line about tests/cuda on the GPU, and whether it failed."""
    if not CUDA_TESTS.is_dir():
        return "", False
    words = [str(venv.python("test", kind)), "-m", "pytest", "-q", str(CUDA_TESTS)]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stdout.write(done.stdout)
    return done.stdout.strip().splitlines()[-1].strip("= "), done.returncode != 0


def _said(finished: Finished, off: list[Difference]) -> str:
    more = f", and {len(off) - 1} more" if len(off) > 1 else ""
    return finished.fault or f"{_worst(off)}{more}"


def _worst(off: list[Difference]) -> Difference:
    """A figure that a person knows, where there is one among them; else the one furthest off by its tolerance."""
    known = [one for one in off if one.name in figures.HEADLINES]

    def excess(one: Difference) -> float:
        if one.figure is None or one.value is None or not one.figure.tolerance:
            return float("inf")
        return abs(one.value - one.figure.mean) / one.figure.tolerance

    return max(known or off, key=excess)


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _time(seconds: float | None) -> str:
    return duration(seconds) if seconds else "-"
