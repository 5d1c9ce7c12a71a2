import pytest

from stages.train.split import split


@pytest.mark.parametrize("frames", [5, 9, 10, 25, 100, 300, 400, 9580])
def test_every_frame_is_in_one_part(frames):
    parts = split(frames)
    assert sorted(parts.train + parts.last + parts.blocks) == list(range(frames))
    assert parts.last == tuple(range(frames - len(parts.last), frames)) and parts.last
    assert parts.blocks and max(parts.blocks) < min(parts.last)


@pytest.mark.parametrize("frames", [100, 300, 400, 9580])
def test_about_a_tenth_each_and_blocks_spread_over_the_rest(frames):
    parts = split(frames)
    for part in (parts.last, parts.blocks):
        assert 0.08 * frames <= len(part) <= 0.12 * frames
    assert min(parts.blocks) < 0.25 * frames and max(parts.blocks) > 0.7 * frames
    gaps = [b - a for a, b in zip(parts.blocks, parts.blocks[1:], strict=False) if b != a + 1]
    assert len(gaps) >= 3 and max(gaps) - min(gaps) <= 2  # several blocks, evenly spread


@pytest.mark.parametrize("frames", [1, 4])
def test_a_video_too_short_to_spare_a_frame_says_so(frames):
    parts = split(frames)
    assert len(parts.train) == frames and not parts.held_out and "none is left" in parts.note


def test_nine_frames_spare_two_and_say_that_it_is_little():
    parts = split(9)
    assert len(parts.train) == 7 and "only 9 frames" in parts.note
