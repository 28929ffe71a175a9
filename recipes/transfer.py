"""How should a pretrained model be trained?

Trains the new head on the frozen body, runs lr_find, and continues in six ways with one budget: head only, the
tutorial's `slice(3e-6, 3e-3)`, one high LR, one low LR, gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146), and
from scratch. Shows whether early layers really need tiny changes.

    lrlab transfer --data ~/photos --arch resnet34 --size 128 --epochs 4
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learning_rates import LearningRate, parse_lr, parse_one_lr
from lrlab.recipes.studies.transfer.arms import ARMS, parse_arms

LR_FIND_STEPS, QUICK_LR_FIND_STEPS = 100, 20


def read_slice(value, name: str) -> LearningRate:
    "The LRs of the first layers and of the head."
    lr = parse_lr(value, name)
    if lr is None or lr.first is None:
        raise UserError(f"`{name}` {value}: expected the LRs of the first layers and of the head: slice(3e-6,3e-3)")
    return lr


ArmEpochs = Annotated[Any, o.Option("Training", "N", "Epochs of every arm, after 1 for the head", o.number(1, o.MANY))]
SliceLr = Annotated[Any, o.Option("Training", "LR", "LRs of the slice; its upper end is the one high LR", read_slice)]
LowLr = Annotated[Any, o.Option("Training", "LR", "The one low LR", parse_one_lr)]
Arms = Annotated[Any, o.Option("Comparison", "NAMES", f"all, or some of {', '.join(ARMS)}", parse_arms)]


@cli.recipe(
    quick={
        "data": "digits",
        "size": 32,
        "epochs": 1,
        "seeds": 1,
        "precision": "fp32",  # faster than bf16 on images as small as these
        "out": "results/transfer-quick",
    }
)
def main(
    data: o.Data = "solar",
    arch: o.PretrainedArch = "efficientnet_lite0",
    epochs: ArmEpochs = 2,
    lr: SliceLr = "slice(3e-6,3e-3)",
    low: LowLr = 1e-4,
    arms: Arms = "all",
    seeds: o.Seeds = 3,
    weights: o.Weights = None,
    bs: o.BatchSize = None,
    size: o.FixedSize = 48,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/transfer",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.TrainingKnobs,
):
    "Transfer learning six ways with equal budget: LRs and movement of every layer group, and the accuracy."
    from lrlab.recipes.kitchen import workloads
    from lrlab.recipes.studies.transfer import study

    workload = workloads.make_workload(data, arch, size, bs, precision, weights, cache=not no_cache, **knobs)
    question = study.Question(workload, epochs, lr, low, seeds, threads, tuple(arms))
    steps = QUICK_LR_FIND_STEPS if quick else LR_FIND_STEPS
    return study.answer(question, out, jobs, fresh, steps)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
