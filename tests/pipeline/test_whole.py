"""A video in, an avatar out: what the stages leave fits together, and a rerun costs nothing."""

import json

import numpy as np
from PIL import Image

from avatarmake.contract.layout import alpha_mask, checkpoint_file, dataset_image, parsing_mask
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from tests.pipeline.conftest import FRAMES, ORDER, run_here


def metrics(subject):
    return json.loads((subject.directory("report") / "metrics.json").read_text())


def test_every_frame_becomes_a_frame_file_an_image_and_three_masks(demo):
    dataset, masks = demo.directory("dataset"), demo.directory("masks")
    for i in range(FRAMES):
        assert checkpoint_file(dataset, i).exists()
        with Image.open(dataset_image(dataset, i + 1)) as image, Image.open(alpha_mask(masks, i + 1)) as alpha:
            assert image.size == (512, 512) and alpha.mode == "L"
        for part in ("neckhead", "mouth"):
            mask = np.asarray(Image.open(parsing_mask(masks, i + 1, part)))
            assert mask.shape == (512, 512) and {0, 255} <= set(np.unique(mask))
            assert part == "neckhead" or len(np.unique(mask)) == 2  # neckhead ends softly
    # FlashAvatar counts the files: not one more
    assert len(list((dataset / "checkpoint").iterdir())) == FRAMES
    assert len(list((dataset / "imgs").iterdir())) == FRAMES


def test_metrics_have_what_a_reader_compares(demo):
    m = metrics(demo)
    assert m["frames"] == m["frames"] | {"source": FRAMES, "used": FRAMES, "tracked": FRAMES}
    assert m["tracking"]["landmark_error_pct"]["median"] < 2.5
    assert m["tracking"]["truth"]
    assert m["masks"]["truth"]["frames"] == 2 and m["masks"]["truth"]["head_iou"] > 0.98
    assert m["convert"]["reprojection_px_max"] < 0.01
    for split in ("last", "blocks"):
        assert {"psnr_full", "psnr_head", "psnr_dark", "ssim"} <= m["avatar"][split].keys()
        assert m["avatar"][split]["fit"]["as_fitted"]["psnr_full"] > 0


def test_receipts_have_what_each_stage_took(demo):
    for directory in (d for d, stage in WRITER.items() if stage in ORDER):
        assert receipt(demo.directory(directory))["seconds"] > 0
        assert receipt(demo.directory(directory))["peak_memory_mb"] > 10
    seconds = receipt(demo.directory("avatar"))["facts"]["curve_seconds"]
    curve = json.loads((demo.directory("avatar") / "curve.json").read_text())
    assert len(seconds) == len(curve) and 0 < seconds[0] and seconds == sorted(seconds)


def test_the_report_is_one_file_of_its_own(demo):
    page = (demo.directory("report") / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    assert 'src="data:video/mp4;base64,' in page


def test_a_second_run_of_everything_does_nothing(demo, capsys):
    before = {d: receipt(demo.directory(d)) for d in WRITER}
    for stage in ORDER:
        assert run_here(stage, demo) == Exit.OK and "nothing to do" in capsys.readouterr().out, stage
    assert {d: receipt(demo.directory(d)) for d in WRITER} == before
