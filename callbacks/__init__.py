"""Learning-rate schedules and training callbacks for fastai."""

from .averaging import CycleAverage
from .compose import Join, Scaled, Warmup, join, scaled, warmup
from .cooldown import CooldownOnPlateau
from .divergence import StopOnDivergence
from .extend import Extendable, cool_down, extend
from .history import HyperHistory
from .lr_find import LRRange, lr_range_test
from .plateau import ReduceOnPlateau
from .preview import SchedulePreview
from .resume import Resumable
from .schedule import Schedule
from .schedule_free import ScheduleFree, schedule_free_adamw, schedule_free_sgd
from .schedule_lr import ScheduleHyper, ScheduleLR, fit_schedule, preview_schedule
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
    MultiStep,
    OneCycle,
    Points,
    PolynomialDecay,
    Rex,
    StepDecay,
    Trapezoid,
    Triangular,
)
from .snapshots import SnapshotEnsemble
from .start_at import StartAt
from .tail_average import TailAverage
from .unfreeze import GradualUnfreeze

__all__ = [
    "SCHEDULES",
    "SGDR",
    "Constant",
    "CooldownOnPlateau",
    "CosineDecay",
    "CosineRestarts",
    "Custom",
    "CycleAverage",
    "ExpRange",
    "ExponentialDecay",
    "Extendable",
    "FlatCosine",
    "GradualUnfreeze",
    "HyperHistory",
    "InverseSqrt",
    "Join",
    "LRRange",
    "MultiStep",
    "OneCycle",
    "Points",
    "PolynomialDecay",
    "ReduceOnPlateau",
    "Resumable",
    "Rex",
    "Scaled",
    "Schedule",
    "ScheduleFree",
    "ScheduleHyper",
    "ScheduleLR",
    "SchedulePreview",
    "SnapshotEnsemble",
    "StartAt",
    "StepDecay",
    "StopOnDivergence",
    "TailAverage",
    "Trapezoid",
    "Triangular",
    "Warmup",
    "cool_down",
    "extend",
    "fit_schedule",
    "join",
    "lr_range_test",
    "preview_schedule",
    "scaled",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "warmup",
]
