"""Each image model of the shipped catalogs has a small sample image."""

from __future__ import annotations

from PIL import Image

from tools.samples import BYTES_MAX, FOLDER, SIDE, draw, models

COMMAND = "draw it with: .venv/bin/python -m tools.samples"


def test_each_model_has_a_sample_and_no_sample_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(models()), COMMAND


def test_samples_are_small_squares() -> None:
    for path in FOLDER.iterdir():
        assert path.stat().st_size <= BYTES_MAX, path.name
        with Image.open(path) as image:
            assert (image.format, image.size) == ("WEBP", (SIDE, SIDE)), path.name


def test_a_sample_is_the_same_at_each_run() -> None:
    assert draw("flux-dev") == draw("flux-dev")
