"""Learning-rate schedules and training callbacks for fastai."""

from .base import Schedule
from .compose import Join, Warmup, join, warmup
from .divergence import StopOnDivergence
from .history import HyperHistory
from .lr_find import LRRange, lr_range_test
from .schedule_lr import ScheduleLR, SchedulePreview, fit_schedule, preview_schedule
from .schedules import (
    SCHEDULES,
    SGDR,
    Constant,
    CosineDecay,
    CosineRestarts,
    Custom,
    ExponentialDecay,
    ExpRange,
    FlatCosine,
    InverseSqrt,
    OneCycle,
    Points,
    PolynomialDecay,
    Rex,
    StepDecay,
    Trapezoid,
    Triangular,
)
from .start import StartAt

__all__ = [
    "SCHEDULES",
    "SGDR",
    "Constant",
    "CosineDecay",
    "CosineRestarts",
    "Custom",
    "ExpRange",
    "ExponentialDecay",
    "FlatCosine",
    "HyperHistory",
    "InverseSqrt",
    "Join",
    "LRRange",
    "OneCycle",
    "Points",
    "PolynomialDecay",
    "Rex",
    "Schedule",
    "ScheduleLR",
    "SchedulePreview",
    "StartAt",
    "StepDecay",
    "StopOnDivergence",
    "Trapezoid",
    "Triangular",
    "Warmup",
    "fit_schedule",
    "join",
    "lr_range_test",
    "preview_schedule",
    "warmup",
]
