"""Runs the work over all images in processes, and keeps aside what the audit replaces."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatarmake import assets, head_model
from avatarmake.contract.command import main
from avatarmake.contract.layout import checkpoint_file
from avatarmake.contract.publication import RECEIPT, SUMS
from avatarmake.contract.stage import Job
from avatarmake.contract.workers import how_many, worker_pool
from avatarmake.files.whole import whole
from avatarmake.formats.descriptions import read_index
from avatarmake.formats.frame import read_frame
from stages.mask import BISENET, STAGE, MaskConfig, brought, framing, label_maps, work
from stages.mask.audit import FAULTS, MISFITS
from stages.mask.brought import PARTS, Brought
from stages.mask.geometry import HeadProjector, HeadView
from stages.mask.label_maps import LabelMaps
from stages.mask.pictures import write_examples
from stages.mask.source import MaskSource, Plan
from stages.mask.work import Done, Finding, take_over

CHUNK = 128  # images a process takes at a time; it looks at two more, their neighbours
WORTH = 0.02  # of the outlines that the ground's own picture must tell something about
REPLACED = "replaced"  # below masks/: files that an audit put aside
OURS = {RECEIPT, SUMS, "audit.json"}


def run(job: Job) -> dict:
    old = job.subject.directory("masks")
    _start_anew_if_other_mode(job)
    index = read_index(job.read("dataset") / "index.json", job.subject.name)
    projector = _projector(job, index)

    def views(numbers: list[int]) -> list[HeadView]:
        return projector.views([read_frame(checkpoint_file(job.read("dataset"), n - 1)) for n in numbers])

    plan, by_plate = _with_the_ground(_plan(job, index, projector, views))
    for folder in ("alpha", "parsing"):
        (job.out / folder).mkdir(exist_ok=True)
    audited = brought.found(old, index, views) if job.config.fix and old.is_dir() else None
    findings, areas = [], {"neckhead": [], "mouth": []}
    for done in _runs(job, plan, audited):
        findings += done.findings
        areas["neckhead"] += done.neckhead
        areas["mouth"] += done.mouth
    findings += _put_aside(job.out, old, findings, plan.count, audited)
    report = _audit_report(findings, plan.count, bool(audited))
    if audited:
        write_examples(job.out, audited, plan.dataset, findings)
        for fault, count in report["faults"].items():
            print(f"mask: {count} x {fault}: {FAULTS[fault]}")
        if sum(report["faults"].get(fault, 0) for fault in MISFITS) > report["files"] / 2:
            print("mask: most of them do not fit the tracked head: they seem to be another video's, or cut otherwise")
        print(f"mask: {report['kept']} files kept, {report['mended']} mended, {report['regenerated']} made anew")
    with whole(job.out / "audit.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    (job.out / ".fix").unlink(missing_ok=True)
    return {
        "frames_in": plan.count,
        "frames_out": plan.count,
        "parser": plan.parser.name if plan.parser else "head_model",
        "matting": plan.matting.name if plan.matting else "selfie",
        "label_maps": len(plan.labels),
        "outline_by_ground_plate": round(by_plate, 3),
        **{f"{part}_area_median": float(np.median(a)) for part, a in areas.items()},
        **report,
        # what another tool or a hand made stays theirs: such a directory is not replaced without a word
        "made_by_others": report["kept"] + report["mended"] if audited and job.theirs else 0,
    }


def _start_anew_if_other_mode(job: Job) -> None:
    """An audit and a plain run do not go on from each other's unfinished work."""
    mark = job.out / ".fix"
    if job.resumed and mark.exists() != job.config.fix:
        for path in job.out.iterdir():
            if path.name != ".key":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    if job.config.fix:
        mark.touch()


def _projector(job: Job, index: dict) -> HeadProjector:
    dataset = job.read("dataset")
    model = head_model.load(index["head_model"])
    again = f"make track convert ID={job.subject.name}"
    head_model.refuse_another(model, index["head_model_digest"], dataset, job.subject.name, again)
    return HeadProjector(model, read_frame(checkpoint_file(dataset, 0)).shape)


def _plan(job: Job, index: dict, projector: HeadProjector, views: Callable[[list[int]], list[HeadView]]) -> Plan:
    parser, matting = _networks(job.config)
    given, numbering = job.config.labels, job.config.numbering
    return Plan(
        dataset=job.read("dataset"),
        count=len(index["images"]),
        projector=projector,
        labels=label_maps.found(given, numbering, index, views) if given else LabelMaps(),
        parser=parser,
        matting=matting,
        visible=framing.visible(index),
        head_labels=job.config.head_label_set,
        mouth_labels=job.config.mouth_label_set,
    )


def _with_the_ground(plan: Plan) -> tuple[Plan, float]:
    """The plan with the ground by itself where the video shows it, and at what share of the outlines; says which."""
    if plan.matting:
        return plan, 0.0
    with contextlib.closing(MaskSource(plan)) as source:
        plate, share = source.ground()
    if share < WORTH:
        print("mask: the ground's own picture is not used: what lies beside the person tells as much", flush=True)
        return plan, 0.0
    print(f"mask: the ground's own picture is used along {100 * share:.0f} % of the outlines", flush=True)
    return replace(plan, plate=plate), share


def _networks(config: MaskConfig) -> tuple[Path | None, Path | None]:
    """The user's files to parse and to matt with, None for our own ways; says which."""
    there = {name: path for name in config.assets if (path := assets.find(name))}
    parser = next((there[name] for name in BISENET if name in there), None)
    matting = there.get("robust_video_matting")
    print(
        f"mask: neckhead and mouth from {parser.name if parser else 'the head model'}, "
        f"alpha from {matting.name if matting else 'the selfie network of mediapipe'}",
        flush=True,
    )
    return parser, matting


def _runs(job: Job, plan: Plan, audited: Path | None) -> Iterator[Done]:
    """The work on all images, in their order."""
    chunks = [range(a, min(a + CHUNK, plan.count + 1)) for a in range(1, plan.count + 1, CHUNK)]
    workers, tools = how_many(job.config.workers, len(chunks)), (plan, job.out, audited)
    if workers == 1:
        with contextlib.closing(work.Worker(*tools)) as worker:
            yield from _told(job, map(worker.work, chunks), plan.count)
        return
    with worker_pool(workers, ("stages.mask.work", "mediapipe"), work.begin, *tools) as pool:
        yield from _told(job, pool.map(work.work, chunks), plan.count)


def _told(job: Job, results: Iterator[Done], count: int) -> Iterator[Done]:
    """The same results, while progress counts their images."""

    def images() -> Iterator[Done | None]:
        for done in results:
            yield done
            yield from [None] * (len(done.numbers) - 1)

    yield from (done for done in job.progress(images(), count, "mask") if done is not None)


def _put_aside(out: Path, old: Path, findings: list[Finding], count: int, audited: Brought | None) -> list[Finding]:
    """Keep under replaced/ what was replaced, now or by an audit before. -> findings about stray files."""
    for path in (old / REPLACED).rglob("*") if (old / REPLACED).is_dir() else ():
        if path.is_file():
            take_over(path, out / path.relative_to(old))
    if not audited:
        return []
    expected = {audited.file(n, part) for n in range(1, count + 1) for part in PARTS}
    stray = [
        p
        for p in sorted(old.rglob("*"))
        if p.is_file() and p not in expected and p.name not in OURS
        and p.relative_to(old).parts[0] not in (REPLACED, "audit")
    ]  # fmt: skip
    wrong = {audited.file(f.number, f.part) for f in findings if f.fault != "missing"}
    for path in [*sorted(wrong), *stray]:
        take_over(path, out / REPLACED / path.relative_to(old))
    return [Finding(0, str(p.relative_to(old)), "stray", False) for p in stray]


def _audit_report(findings: list[Finding], count: int, audited: bool) -> dict:
    """audit.json: files there should be, faults found, and what became of them."""
    faults = {name: sum(f.fault == name for f in findings) for name in FAULTS}
    touched = {(f.number, f.part): f.mended for f in findings if f.fault != "stray"}
    mended, files = sum(touched.values()), len(PARTS) * count
    kept = files - len(touched) if audited else 0
    return {
        "files": files,
        "faults": {name: n for name, n in faults.items() if n},
        "kept": kept,
        "mended": mended,
        "regenerated": files - kept - mended,
    }


if __name__ == "__main__":
    main(STAGE, run)
