"""The gallery in callbacks/README.md shows every schedule, with a call that works and a source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lrlab.callbacks import SCHEDULES, Schedule

spec = importlib.util.spec_from_file_location("gallery", Path(__file__).with_name("gallery.py"))
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)
ROWS = gallery.rows()


def test_every_schedule_has_a_row_of_its_name():
    assert {Path(file).stem.split("-")[0] for file, _, _ in ROWS} == {*SCHEDULES, "warmup", "join", "scaled"}


@pytest.mark.parametrize(("file", "call", "source"), ROWS, ids=[call for _, call, _ in ROWS])
def test_a_row_has_an_image_a_call_and_a_source(tmp_path, file, call, source):
    assert Path(file).stem.split("-")[0] in call and source.strip()
    assert isinstance(gallery.schedule(call), Schedule)
    gallery.draw(gallery.schedule(call), tmp_path / "now.svg")
    committed, now = (curve(path) for path in (gallery.FOLDER / file, tmp_path / "now.svg"))
    assert len(committed) == len(now) > 50, f"draw it again: python {gallery.__doc__.split('python ')[1].split()[0]}"


def curve(path: Path) -> str:
    "The longest line of a drawing: its curve."
    assert path.stat().st_size < 20_000
    return max((o.get("d", "") for o in ElementTree.parse(path).iter() if o.tag.endswith("path")), key=len)
