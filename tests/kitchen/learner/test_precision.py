""" "auto" is a rule: the instructions of the machine and the layers of the model decide, and no clock."""

import pytest
import torch
from torch import nn

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner import precision
from lrlab.recipes.kitchen.workloads import ImageWorkload

PLAIN = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
GROUPED = nn.Sequential(nn.Conv2d(8, 8, 3, groups=2))
DEPTHWISE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.Conv2d(8, 8, 3, groups=8)))


@pytest.mark.parametrize(
    "model, cpu, chosen",
    [(PLAIN, True, "bf16"), (GROUPED, True, "bf16"), (DEPTHWISE, True, "fp32"), (PLAIN, False, "fp32")],
)
def test_a_cpu_uses_bf16_where_it_is_faster(monkeypatch, model, cpu, chosen):
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.resolve_precision("auto", lambda: model) == chosen
    assert precision.resolve_precision("fp32", lambda: model) == "fp32"


@pytest.mark.parametrize("has_bf16, chosen", [(True, "bf16"), (False, "fp16")])
def test_a_gpu_uses_bf16_or_else_fp16(monkeypatch, has_bf16, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    assert precision.resolve_precision("auto", lambda: DEPTHWISE) == chosen


def test_a_cpu_with_the_instructions_is_recognised(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert precision.cpu_has_bf16() is True
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert precision.cpu_has_bf16() is False
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert precision.cpu_has_bf16() is False


def test_a_workload_is_resolved_before_anything_is_recorded():
    workload, images = ImageWorkload("digits"), ImageWorkload("digits").load()
    resolved = workload.resolve(images)
    assert resolved.precision in ("fp32", "bf16", "fp16") and resolved.bs == 64
    assert resolved.resolve(images) == resolved
    assert workload.to_dict(images) == resolved.to_dict(images)
    assert workload.learner(0, images).precision == resolved.precision


def test_impossible_precisions_are_refused():
    with pytest.raises(UserError, match="`precision` half: expected one of auto, fp32"):
        precision.check_precision("half")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="fp16 needs a GPU"):
            precision.check_precision("fp16")
