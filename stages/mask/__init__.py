"""mask: what belongs to the person (alpha), to head and neck (neckhead), and to the mouth, for every image."""

from dataclasses import dataclass
from pathlib import Path

from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

HEAD_LABELS = frozenset({*range(1, 16), 17})  # BiSeNet: all but background, cloth (16) and hat (18)
HAT_LABEL = 18
BISENET = ("bisenet", "bisenet_torch")  # an ONNX and PyTorch's weights: the first of these assets that is there
KNOWN = {
    "numbering": ("auto", "bisenet", "celebamask"),
    "parser": ("auto", "head_model", "bisenet"),
    "matting": ("auto", "selfie", "robust"),
}


@dataclass(frozen=True)
class MaskConfig:
    labels: Path | None = option(
        None,
        "folder of label maps: 00001.png ..., numbered as dataset/imgs or as frames/, of crops or frames",
        input=True,
    )
    numbering: str = option(
        "auto", "the numbers of the label maps: bisenet, celebamask, or auto: as they lie on the tracked head"
    )
    parser: str = option(
        "auto",
        "for images without a label map: head_model, bisenet (or bisenet_torch), or auto: those assets where they are",
    )
    matting: str = option(
        "auto", "alpha from: selfie, robust (the asset robust_video_matting), or auto: the latter where it is"
    )
    mouth_labels: str = option(
        "11,12,13", "labels that make the mouth, in BiSeNet's numbers: 11 alone is empty on closed lips"
    )
    hat: bool = option(False, "a hat belongs to the head")
    fix: bool = option(
        False, "audit the masks that are there, whoever made them, and replace what is wrong", key=False, again=True
    )
    workers: int = option(0, "processes; 0 = one per core", key=False)

    def __post_init__(self):
        for name, known in KNOWN.items():
            if getattr(self, name) not in known:
                what = f"{name} is '{getattr(self, name)}'"
                raise StageError(what, next=f"Give one of {', '.join(known)}", exit=Exit.USAGE)
        words = self.mouth_labels.split(",")
        if not all(w.strip().isdecimal() and int(w) <= HAT_LABEL for w in words):
            raise StageError(
                f"mouth labels are '{self.mouth_labels}'", next="Give numbers of 0 to 18: 11,12,13", exit=Exit.USAGE
            )

    @property
    def assets(self) -> tuple[str, ...]:
        """Those that may be read."""
        parser = BISENET if self.parser != "head_model" else ()
        return parser + (("robust_video_matting",) if self.matting != "selfie" else ())

    @property
    def mouth_label_set(self) -> frozenset[int]:
        return frozenset(int(w) for w in self.mouth_labels.split(","))

    @property
    def head_label_set(self) -> frozenset[int]:
        return HEAD_LABELS | {HAT_LABEL} if self.hat else HEAD_LABELS


STAGE = Stage(
    name="mask",
    summary="Make alpha, neckhead and mouth masks, or audit and mend those that are there.",
    reads=("dataset",),
    writes="masks",
    config=MaskConfig,
    adopts="fix",
    assets=lambda config: config.assets,
    needs=lambda config: (
        *([BISENET] if config.parser == "bisenet" else []),
        *([("robust_video_matting",)] if config.matting == "robust" else []),
    ),
)
