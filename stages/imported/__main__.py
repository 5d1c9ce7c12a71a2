"""imported: another's data -> frames/, tracking/, dataset/ and masks/, as far as it has them, and what was found."""

from pathlib import Path

from avatarmake import head_model
from avatarmake.contract.command import main
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.formats.frame import FrameRecord
from avatarmake.head_model.model import HeadModel
from stages.imported import STAGE, checks, directories, evidence, kinds
from stages.imported.found import PARTS, Found
from stages.imported.framing import Framing
from stages.imported.pictures import Writer


def run(job: Job) -> dict:
    folder = Path(job.config.source)
    found = kinds.read(folder, job.subject.name, job.config)
    checks.check(found)
    name = found.head_model or "flame" if job.config.head_model == "auto" else job.config.head_model
    head = _head(name)
    digest = _digest(found, name, head, folder)
    framing, records = _framed(found)
    notes = [*found.notes, *([framing.note()] if framing.note() else []), *_neck(found)]
    writer = Writer(framing, job.config.link)
    frames = directories.write_frames(job, found, framing, writer)
    seen = evidence.gather(frames, records or [directories.record_of(shot.tracking) for shot in found.shots], head)
    directories.write_tracking(job, found, records, name, digest)
    if records:
        directories.write_dataset(job, found, framing, records, name, digest)
    facts = {"frames": {"fps": directories.fps_of(job, found)}, "tracking": {**seen.facts, "tracker": found.kind}}
    if records:
        facts |= {"dataset": {"frames_out": len(records)}}
        facts |= directories.write_masks(job, found, writer, notes)
    evidence.draw(frames, seen, job.out / "evidence.jpg")
    notes += [f"{count} x {what}" for what, count in writer.done.items() if what.startswith(("copied", "mask of"))]
    directories.write_json(job.out / "import.json", _told(job, found, name, digest, notes, seen))
    _say(job, found, notes, seen, name, head)
    return {"frames_in": len(found.shots), "frames_out": len(found.shots), "kind": found.kind, "brought": facts}


# --- before anything is written --------------------------------------------------------------------------------------


def _head(name: str) -> HeadModel | None:
    """The head model, or None where the licensed one is not there."""
    try:
        return head_model.load(name)
    except StageError as e:
        if e.exit != Exit.MISSING_ASSET:
            raise
        return None


def _digest(found: Found, name: str, head: HeadModel | None, folder: Path) -> str:
    """Of the head model, "" where it is not known. Raises StageError where the data names another version."""
    digest = head.digest if head else ""
    said = found.head_model_digest if found.head_model == name else ""
    if said and digest and said != digest:
        what = f"was solved for another version of head model '{name}': {said[:8]}, not {digest[:8]}"
        raise StageError(what, folder, "Track it again with this one: make track ID=... HEAD_MODEL=...")
    return digest or said


def _framed(found: Found) -> tuple[Framing, list[FrameRecord]]:
    """The square, and the records in its pixels; of a kind that convert reads there are none yet."""
    first = found.shots[0].record
    if first is None:
        return Framing((IMAGE_SIZE, IMAGE_SIZE), 0, 0, IMAGE_SIZE, IMAGE_SIZE), []
    framing = Framing.around(first.intrinsics, first.image_size, f"{found.root}: {found.shots[0].where}")
    k = framing.intrinsics(first.intrinsics)
    for shot in found.shots:
        shot.record.intrinsics = framing.intrinsics(shot.record.intrinsics) if framing.as_it_is else k
        shot.record.image_size = (IMAGE_SIZE, IMAGE_SIZE)
    return framing, [shot.record for shot in found.shots]


def _neck(found: Found) -> list[str]:
    if not found.neck_degrees:
        return []
    return [
        f"its neck turns by up to {found.neck_degrees:.1f} degrees, and FlashAvatar has no neck: put into the camera, "
        "exact for the head; the neck's lower end follows the head"
    ]


# --- what is said ----------------------------------------------------------------------------------------------------


def _told(job: Job, found: Found, name: str, digest: str, notes: list[str], seen) -> dict:
    return {
        "kind": found.kind,
        "source": Path(job.config.source).name,
        "frames": len(found.shots),
        "head_model": name,
        "head_model_digest": digest,
        "masks": list(found.parts),
        "notes": notes,
        "evidence": seen.facts | {"said": seen.lines},
    }


def _say(job: Job, found: Found, notes: list[str], seen, name: str, head: HeadModel | None) -> None:
    print(f"imported: {found.kind}, {len(found.shots)} frames, masks: {', '.join(found.parts) or 'none'}")
    if not (job.config.fps or found.fps):
        notes = [*notes, f"nothing says how many images are a second: {directories.FPS:.0f} are taken; or FPS=30"]
    for line in [*notes, *seen.lines]:
        print(f"imported: {line}")
    for line in _next(job.subject.name, found, name, head):
        print(line)


def _next(subject: str, found: Found, name: str, head: HeadModel | None) -> list[str]:
    lines = []
    if head is None:
        lines += [
            f"training needs the head model '{name}', which is not there: make assets GET=flame2020, then "
            f"make import ID={subject} once more, which compares landmarks",
            f"or track the pictures anew with the open head: make track ID={subject} HEAD_MODEL=open OPTIONS=--force",
        ]
    if found.shots[0].record is None:
        return [*lines, f"next: make convert ID={subject}, then make train ID={subject}"]
    if found.parts and len(found.parts) < len(PARTS):
        return [*lines, f"next: make mask ID={subject} FIX=1, which keeps {' and '.join(found.parts)}; then make train"]
    audit = f"make mask ID={subject} FIX=1 audits the masks; " if found.parts else ""
    return [*lines, f"next: {audit}make train ID={subject}"]


if __name__ == "__main__":
    main(STAGE, run)
