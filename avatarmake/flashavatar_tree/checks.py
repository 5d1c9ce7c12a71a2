"""What FlashAvatar would stumble over, found before it does: it counts files, and reads one camera for all frames."""

from dataclasses import dataclass, field
from pathlib import Path

from avatarmake.contract import layout
from avatarmake.contract.key import finished
from avatarmake.contract.layout import IMAGE_SIZE, Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.progress import progress
from avatarmake.contract.receipts import made_of
from avatarmake.errors import StageError
from avatarmake.flashavatar_tree.plain import frame_values, image_format
from avatarmake.formats.descriptions import read_index

HELD_OUT = 500  # frames at the end that it tests on, and never trains on
MOST = 10_000  # frames that it trains on, the first
BYTES = 4 * 5 * IMAGE_SIZE**2  # of a frame on the GPU: picture and two masks as float32
CENTRE, FOCAL, SHAPE = 1e-3, 5e-3, 1e-5  # px, px, -: what frames may differ by; convert's own limits


@dataclass(frozen=True)
class Checked:
    """What was found. `digests`: of dataset/ and masks/, as their receipts have them."""

    frames: int
    head_model: str
    digests: dict[str, str]
    about: dict[str, str | float] = field(default_factory=dict)  # what no file of the tree says, for `make import`

    def notes(self) -> list[str]:
        """What a person should know before training on it."""
        train = min(max(self.frames - HELD_OUT, 0), MOST)
        lines = [
            f"{self.frames} frames: FlashAvatar trains on the first {train}, tests on the last {HELD_OUT}, and keeps "
            f"those it works on on the GPU, {train * BYTES / 1e9:.1f} GB"
        ]
        if not train:
            lines = [
                f"warning: {self.frames} frames, and FlashAvatar holds out the last {HELD_OUT}: none is left, its "
                f"train.py ends at its first step with an empty range. It takes more than {HELD_OUT} frames; "
                "our own trainer (make train) splits what there is"
            ]
        if self.head_model != "flame":
            lines.append(
                f"warning: the parameters are those of head model '{self.head_model}', and FlashAvatar moves FLAME by "
                "them: cameras and masks are right, its head is another. Track with HEAD_MODEL=flame for it"
            )
        return lines


def check(subject: Subject) -> Checked:
    """Raises StageError for what would make FlashAvatar fail, or train on something else than we would."""
    dataset, masks = subject.directory("dataset"), subject.directory("masks")
    receipts = {d.name: finished(subject, d.name) for d in (dataset, masks)}
    if (root := with_cameras(subject)) != dataset:
        receipts[root.name] = finished(subject, root.name)
    digests = {name: receipt["outputs"]["digest"] for name, receipt in receipts.items()}
    if receipts["masks"].get("parts", {}).get("dataset/", digests["dataset"]) != digests["dataset"]:
        raise StageError("was made for another dataset/", masks, f"Run: make mask ID={subject.name}")
    index = read_index(dataset / "index.json", subject.name)
    frames = len(index["images"])
    for folder, channels in folders(subject).items():
        check_names(folder, frames, f"Run: make {WRITER[folder.parent.name]} ID={subject.name}")
        if channels:
            _check_images(folder, channels)
    _check_frames(root, frames)
    about = {name: index[name] for name in ("head_model", "head_model_digest", "fps")}
    return Checked(frames, index["head_model"], digests, about)


def folders(subject: Subject) -> dict[Path, int]:
    """The four folders that FlashAvatar reads -> channels of their images; the last holds the .frame files."""
    dataset, masks = subject.directory("dataset"), subject.directory("masks")
    return {
        layout.dataset_image(dataset, 1).parent: 3,
        layout.alpha_mask(masks, 1).parent: 1,
        layout.parsing_mask(masks, 1, "mouth").parent: 1,
        layout.checkpoint_file(with_cameras(subject), 0).parent: 0,
    }


def with_cameras(subject: Subject) -> Path:
    """Whose .frame files: refined/, where it was made of the dataset/ that is there, else that itself."""
    dataset, refined = subject.directory("dataset"), subject.directory("refined")
    return refined if made_of(refined, dataset) else dataset


def names(folder: str, frames: int) -> set[str]:
    """The files that one of the four folders holds, and no other."""
    root, numbers = Path(), range(1, frames + 1)
    paths = {
        "imgs": lambda n: [layout.dataset_image(root, n)],
        "alpha": lambda n: [layout.alpha_mask(root, n)],
        "parsing": lambda n: [layout.parsing_mask(root, n, part) for part in ("neckhead", "mouth")],
        "checkpoint": lambda n: [layout.checkpoint_file(root, n - 1)],
    }[folder]
    return {path.name for n in numbers for path in paths(n)}


def check_names(folder: Path, frames: int, again: str) -> None:
    """Every frame has its file, and nothing else is there."""
    there, expected = {p.name for p in folder.iterdir()} if folder.is_dir() else set(), names(folder.name, frames)
    missing, stray = sorted(expected - there), sorted(there - expected)
    if missing:
        more = f", and so are {len(missing) - 1} others" if len(missing) > 1 else ""
        raise StageError(f"is missing{more}; {frames} frames need {len(expected)} files", folder / missing[0], again)
    if stray:
        counts = "FlashAvatar counts every file there as a frame" if folder.name == "checkpoint" else "it is no frame's"
        raise StageError(f"is none of ours: {counts}", folder / stray[0], "Move it away")


def _check_images(folder: Path, channels: int) -> None:
    expected = (IMAGE_SIZE, IMAGE_SIZE, channels)
    for path in progress(sorted(folder.iterdir()), label=folder.name, unit="files"):
        width, height, found = image_format(path)
        if (width, height, found) != expected:
            said = f"is {width} x {height} with {found} channels of 8 bits, expected {IMAGE_SIZE} x {IMAGE_SIZE} with"
            raise StageError(f"{said} {channels}: FlashAvatar reads nothing else", path)


def _check_frames(root: Path, frames: int) -> None:
    """It takes K, img_size and shape of 00000.frame for all frames, and the image's centre for K's."""
    first = None
    for i in progress(range(frames), label="checkpoint"):
        path = layout.checkpoint_file(root, i)
        values = frame_values(path)
        focal_x, _, x, _, focal_y, y, *_ = k = values["opencv"]["K"]
        first = first or values
        half = IMAGE_SIZE / 2
        if values["img_size"] != (IMAGE_SIZE, IMAGE_SIZE):
            raise StageError(f"img_size is {values['img_size']}, expected {IMAGE_SIZE} x {IMAGE_SIZE}", path)
        if abs(x - half) > CENTRE or abs(y - half) > CENTRE:
            raise StageError(f"its principal point is ({x}, {y}); FlashAvatar knows the image's centre only", path)
        first_k = first["opencv"]["K"]
        if max(abs(focal_x - first_k[0]), abs(focal_y - first_k[4])) > FOCAL or len(k) != 9:
            said = f"its focal length is {focal_x}, that of 00000.frame {first_k[0]}"
            raise StageError(f"{said}; FlashAvatar takes the first for all", path)
        shape, first_shape = values["flame"]["shape"], first["flame"]["shape"]
        if max(abs(a - b) for a, b in zip(shape, first_shape, strict=True)) > SHAPE:
            raise StageError("its shape is not that of 00000.frame, which FlashAvatar takes for all", path)
