"""What is measured once per machine: the precision, and the memory of it."""

import json
import time

import pytest
import torch
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner import precision
from lrlab.recipes.kitchen.machine import measured
from lrlab.recipes.kitchen.workloads import Workload, checked


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path))
    return tmp_path / measured.FILE


class Slower(nn.Module):
    "A model whose forward pass waits in one precision."

    def __init__(self, slow: torch.dtype | None, seconds: float = 0.03):
        super().__init__()
        self.layer, self.slow, self.seconds = nn.Linear(12, 2), slow, seconds

    def forward(self, x):
        now = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        if now == self.slow:
            time.sleep(self.seconds)
        return self.layer(x.flatten(1))


@pytest.mark.parametrize(("slow", "chosen"), [(None, "bf16"), (torch.bfloat16, "fp32")])
def test_the_faster_precision_is_chosen(monkeypatch, slow, chosen):
    monkeypatch.setattr(precision, "candidates", lambda: ["fp32", "bf16"])
    assert precision.fastest(lambda: Slower(slow), (4, 3, 2, 2), torch.device("cpu")) == chosen


def test_equally_fast_is_fp32(monkeypatch):
    monkeypatch.setattr(precision, "candidates", lambda: ["fp32", "bf16"])
    seconds = iter([9.0, 9.0, *[1.0, 0.95] * 3])
    monkeypatch.setattr(precision, "_seconds_of_a_step", lambda *_: next(seconds))
    assert precision.fastest(lambda: nn.Linear(1, 1), (4, 3, 2, 2), torch.device("cpu")) == "fp32"


def test_a_measurement_is_made_once_and_again_where_it_cannot_be_right(own_cache):
    values = iter("abcd")
    ask = lambda what, allowed="ab": measured.remembered(what, allowed.__contains__, lambda: next(values))  # noqa: E731
    assert [ask("x"), ask("x"), ask("y"), ask("y")] == ["a", "a", "b", "b"]
    assert len(json.loads(own_cache.read_text())) == 2 and measured.machine() in own_cache.read_text()
    assert ask("x", allowed="cd") == "c"
    own_cache.write_text("\0 not JSON")
    assert ask("y", allowed="cd") == "d"


def test_a_cache_that_cannot_be_written_is_said_once(monkeypatch, capsys):
    monkeypatch.setenv("LRLAB_CACHE", "/proc/nowhere")
    for _ in range(2):
        assert measured.remembered("x", lambda value: True, lambda: "a") == "a"
    assert capsys.readouterr().err.count("not remembered") == 1


def test_auto_is_settled_before_anything_is_recorded(own_cache):
    workload, image_set = Workload("digits"), Workload("digits").load_images()
    settled = workload.resolve(image_set)
    assert settled.precision in precision.candidates() and settled.resolve(image_set) == settled
    assert settled.to_dict(image_set)["precision"] == settled.precision
    trained_in = precision.precision_of(workload.resolve(image_set).learner(0, image_set))
    assert trained_in in precision.candidates()


def test_fp16_needs_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        checked("digits", "small", None, 64, "fp16")
