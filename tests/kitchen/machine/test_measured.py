"""What is measured once per machine: the precision, the number of jobs, and the memory of both."""

import json
import time

import pytest
import torch
from torch import nn

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid import job_count as jobs
from lrlab.recipes.kitchen.learner import precision
from lrlab.recipes.kitchen.machine import measured
from lrlab.recipes.kitchen.workloads import Workload, checked, using_threads
from lrlab.recipes.studies.compare import study as comparison


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


def test_jobs_are_the_fewest_that_are_fast_enough(monkeypatch):
    digits = Workload("digits", precision="fp32")
    rates = {1: 10.0, 2: 19.4, 4: 20.0, 6: 15.0}
    monkeypatch.setattr(jobs, "together", lambda n, *_: rates[n])
    assert jobs.fastest_jobs(6, digits, None, 1) == 2
    rates[2] = 11.0
    assert jobs.fastest_jobs(6, digits, None, 1) == 4


def test_steps_are_really_made():
    digits = Workload("digits", precision="fp32")
    rate = jobs.steps_per_second(digits, digits.load_images(), 1, 0.2)
    assert 1 < rate < 10_000
    with using_threads(1):
        before = torch.get_num_threads()
    assert before == 1


def test_jobs_are_not_measured_where_others_are_at_work(monkeypatch, own_cache):
    digits = Workload("digits", precision="fp32")
    question = comparison.Question(digits, list(range(9)), {2: {"constant": Constant()}}, 1e-3)
    monkeypatch.setattr(comparison, "fastest_jobs", lambda *_: 1)
    monkeypatch.setattr(comparison, "busy", lambda: True)
    assert comparison._auto_jobs(2, question, digits.load_images()) == 2 and not own_cache.exists()
    monkeypatch.setattr(comparison, "busy", lambda: False)
    assert comparison._auto_jobs(2, question, digits.load_images()) == 1 and '"jobs for small' in own_cache.read_text()
