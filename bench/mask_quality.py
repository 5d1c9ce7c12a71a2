"""mask: how right the masks are that it makes without weights, on people whose true masks are known, and on a video.

    python -m bench.mask_quality [--video VIDEO] [--labels FOLDER] [--data FOLDER] [--only NAME ...]

FOLDER of labels holds portraits, NAME.jpg beside NAME_labels.png (BiSeNet's classes): each becomes a still video of 20
frames that goes through frames, track, convert and mask. VIDEO goes the same way, and so does the demo subject, whose
true masks its generator draws. Each portrait is also moved over grounds (bench/composites.py), where alpha and the
person's own colours are known to the strand. What is done is done: with --data a second run makes only the masks anew.

    IoU          neckhead x alpha > 1/2 against labels 1-15 and 17; what is outside the picture, or a hat, is left out
    cloth        share of that mask which is labelled cloth
    alpha IoU    alpha > 1/2 against every label but background
    SAD          sum of |alpha - truth| of an image, in thousands, as in matting's literature
    edge px      how far the outline of alpha lies from the truth's (portraits, demo): mean; share beyond 2 px
    off edge     share of alpha's outline with a clear edge of the image within 8 px but none within 2 px
    flicker      mean |alpha_t - alpha_t-1| in grey levels along the outline, where the image stands still
    area         neckhead, median of its pixels
    band         mean |alpha - truth| in grey levels where the truth is soft, and 4 px around (composites)
    over black   grey levels by which the picture that training is shown is off there, over black; and over white
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import av
import cv2
import numpy as np

from avatarmake.contract import layout
from avatarmake.formats.images import LABEL, crop, read_labels, read_mask, read_rgb, resize, resize_labels
from bench import composites
from stages.report import silhouettes
from stages.report.silhouettes import outline
from stages.report.subject import Finished
from stages.train import compositing

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SIDE = layout.IMAGE_SIZE
STILL = 3.0  # grey levels: mean difference of a neighbourhood that stands still
EDGE = 25.0  # grey levels a pixel: a clear edge
FIGURES = {"head_iou": "IoU", "alpha_iou": "alpha IoU", "alpha_sad": "SAD", "head_sad": "head SAD",
           "edge_px": "edge px", "edge_beyond_2_px": "beyond 2 px"}  # fmt: skip
HEAD = [*range(1, 16), LABEL["hair"]]


def make(data: Path, name: str, video: Path | None) -> layout.Subject:
    """A subject with masks."""
    if video is None:
        stage(data, name, "demo")
    stage(data, name, "frames", *(["--video", str(video)] if video else []))
    for each in ("track", "convert", "mask"):
        stage(data, name, each)
    return layout.Subject(data, name)


def stage(data: Path, name: str, which: str, *options: str) -> None:
    command = [sys.executable, "-m", f"stages.{which}", name, "--data", str(data), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def video(path: Path, images: list[np.ndarray]) -> None:
    if path.exists():
        return
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def cropped(subject: layout.Subject, labels: np.ndarray) -> np.ndarray:
    """A label map of the whole frame -> (512,512) of the crop; 255 outside the picture."""
    x, y, side = json.loads((subject.directory("frames") / "crop.json").read_text())["box"]
    height, width = labels.shape
    out = np.full((side, side), 255, np.uint8)
    top, left = max(y, 0), max(x, 0)
    part = labels[top : y + side, left : x + side]
    out[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return resize_labels(out, (SIDE, SIDE))


def masks(subject: layout.Subject, number: int) -> tuple[np.ndarray, np.ndarray]:
    """alpha and neckhead x alpha, float32 in 0..1."""
    root = subject.directory("masks")
    alpha = read_mask(layout.alpha_mask(root, number)) / np.float32(255)
    return alpha, alpha * (read_mask(layout.parsing_mask(root, number, "neckhead")) / np.float32(255))


def picture(subject: layout.Subject, number: int) -> np.ndarray:
    return read_rgb(layout.dataset_image(subject.directory("dataset"), number))


def off_edge(alpha: np.ndarray, image: np.ndarray, where: np.ndarray) -> float:
    """Share of the outline that misses a clear edge which is near."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32)
    slope = np.hypot(cv2.Sobel(smooth, -1, 1, 0, scale=1 / 4), cv2.Sobel(smooth, -1, 0, 1, scale=1 / 4)).max(-1)
    near, around = (cv2.dilate(slope, np.ones((2 * r + 1, 2 * r + 1), np.uint8)) for r in (2, 8))
    points = outline(alpha > 0.5) & where & (around > EDGE)
    return float((near[points] < 0.5 * around[points]).mean()) if points.any() else 0.0


def flicker(subject: layout.Subject, count: int, every: int = 4) -> dict[str, float]:
    """Of alpha and of neckhead x alpha, in grey levels."""
    changes = {"alpha": [], "head": []}
    for n in range(1, count, every):
        before, after = (cv2.cvtColor(picture(subject, i), cv2.COLOR_RGB2GRAY) for i in (n, n + 1))
        still = cv2.blur(cv2.absdiff(before, after), (9, 9)) < STILL
        for name, a, b in zip(changes, masks(subject, n), masks(subject, n + 1), strict=True):
            band = cv2.dilate(outline(a > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            changes[name].append(255 * np.abs(a - b)[band & still])
    return {name: float(np.concatenate(c).mean()) for name, c in changes.items()}


def against(alpha, head, true_alpha, true_head, image, where) -> dict[str, float]:
    """Figures of one image; truths are float32 in 0..1."""
    found = silhouettes.against(alpha, head, true_alpha, true_head, where)
    return {words: found[name] for name, words in FIGURES.items()} | {"off edge": off_edge(alpha, image, where)}


def portrait(data: Path, name: str, folder: Path) -> dict[str, float]:
    """Figures against a label map."""
    video(data / f"{name}.mp4", [read_rgb(folder / f"{name}.jpg")] * 20)
    subject = make(data, f"p{name}", data / f"{name}.mp4")
    labels = cropped(subject, read_labels(folder / f"{name}_labels.png"))
    alpha, head = masks(subject, 10)
    inside, hat = labels < 255, labels == LABEL["hat"]
    truth = np.isin(labels, HEAD)
    cloth = float(head[labels == LABEL["cloth"]].sum() / max(head[inside].sum(), 1))
    return {
        "cloth": cloth,
        **against(alpha, head, ((labels > 0) & inside).astype(np.float32), truth.astype(np.float32),
                  picture(subject, 10), _within(inside) & ~hat),
        "hat taken": float((head > 0.5)[hat].mean()) if hat.any() else 0.0,
        "outside": float(alpha[~inside].mean()) if not inside.all() else 0.0,
    }  # fmt: skip


def composite(data: Path, name: str, scene: str, folder: Path) -> dict[str, float]:
    """Figures of a portrait moved over a ground; means over its frames."""
    frames = list(composites.film(folder, name, scene))
    video(data / f"{name}-{scene}.mp4", [image for image, _, _ in frames])
    subject = make(data, f"{name}-{scene}", data / f"{name}-{scene}.mp4")
    x, y, side = json.loads((subject.directory("frames") / "crop.json").read_text())["box"]
    found, everything = [], np.full((SIDE, SIDE), 255, np.uint8)
    filmed = _within(cropped(subject, np.zeros((SIDE, SIDE), np.uint8)) < 255)
    for number, (_, drawn, coloured) in enumerate(frames, 1):
        true_alpha, own = (resize(crop(np.rint(part).astype(np.uint8), x, y, side, side), (SIDE, SIDE))
                           for part in (255 * drawn, coloured))  # fmt: skip
        truth, alpha = true_alpha / np.float32(255), masks(subject, number)[0]
        where = filmed & (cv2.dilate(((truth > 0.02) & (truth < 0.98)).astype(np.uint8), np.ones((9, 9))) > 0)
        shown, cover, _ = compositing.composite(
            picture(subject, number), np.rint(255 * alpha).astype(np.uint8), everything, everything, SIDE
        )
        white = shown.transpose(1, 2, 0)[where].astype(np.float32)
        black, true_black = white - (255 - cover[where].astype(np.float32))[:, None], own[where].astype(np.float32)
        true_white = true_black + 255 * (1 - truth[where])[:, None]
        found.append({
            **against(alpha, alpha, truth, truth, picture(subject, number), filmed),
            "band": 255 * float(np.abs(alpha - truth)[where].mean()),
            "over black": float(np.sqrt(np.square(black - true_black).mean())),
            "over white": float(np.sqrt(np.square(white - true_white).mean())),
        })  # fmt: skip
    count = len(frames)
    return {k: float(np.mean([f[k] for f in found])) for k in found[0] if "head" not in k and k != "IoU"} | {
        "flicker alpha": flicker(subject, count, 1)["alpha"]
    }


def _within(inside: np.ndarray) -> np.ndarray:
    """Without the pixels at the picture's edge."""
    return cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1) > 0


def demo(data: Path) -> dict[str, float]:
    """Figures against what the generator drew, means over the video."""
    subject = make(data, "demo", None)
    done = Finished(subject.name, *(subject.directory(f.name) for f in fields(Finished)[1:]))
    found = silhouettes.compare(done, subject.truth)
    return {words: found[name] for name, words in FIGURES.items()} | moving(subject)


def moving(subject: layout.Subject) -> dict[str, float]:
    """Figures of a video without a truth."""
    count = len(json.loads((subject.directory("dataset") / "index.json").read_text())["images"])
    found = flicker(subject, count)
    sample = range(1, count + 1, 10)
    everywhere = np.ones((SIDE, SIDE), bool)
    return {
        "flicker alpha": found["alpha"],
        "flicker head": found["head"],
        "area": float(np.median([np.count_nonzero(masks(subject, n)[1] > 0.5) for n in sample])),
        "off edge": float(np.mean([off_edge(masks(subject, n)[0], picture(subject, n), everywhere) for n in sample])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=BESIDE / "wojtek.mp4")
    parser.add_argument("--labels", type=Path, default=BESIDE / "parsing")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="*", help="a portrait's name, NAME-wall, -shelf or -pan, the video's, demo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        names = sorted(p.stem for p in options.labels.glob("*.jpg"))
        work = {name: lambda name=name: portrait(data, name, options.labels) for name in names}
        for name, scene in itertools.product(names, composites.SCENES):
            work[f"{name}-{scene}"] = lambda name=name, scene=scene: composite(data, name, scene, options.labels)
        if options.video.exists():
            work[options.video.stem] = lambda: moving(make(data, options.video.stem, options.video))
        work["demo"] = lambda: demo(data)
        for name in options.only or work:
            print(f"{name}: " + ", ".join(f"{k} {v:.4g}" for k, v in work[name]().items()), flush=True)


if __name__ == "__main__":
    main()
