"""Learning-rate schedules and training callbacks for fastai."""

from .base import Schedule
from .compose import Join, Warmup, join, warmup
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
    "InverseSqrt",
    "Join",
    "OneCycle",
    "Points",
    "PolynomialDecay",
    "Rex",
    "Schedule",
    "StepDecay",
    "Trapezoid",
    "Triangular",
    "Warmup",
    "join",
    "warmup",
]
