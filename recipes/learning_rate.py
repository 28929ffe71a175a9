"""What do a wrong learning rate and a wrong number of epochs look like?

Trains from scratch with a constant LR, as the tutorial does: too high, too low, too short, too long, and right. A fixed
rule on the curves says what went wrong. With the tutorial's model it prints the tutorial's published rows beside ours:

    lrlab learning-rate --data mnist_sample --arch vgg16_bn --size 32 --lr 3e-4
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learning_rates import parse_one_lr, parse_one_lr_or_find

ScratchArch = Annotated[
    Any, o.Option("Model", "NAME", "small, or a torchvision or timm model; always from scratch", o.as_text)
]
RightLr = Annotated[
    Any, o.Option("Training", "LR", "The right LR: a number, or find (an LR range test)", parse_one_lr_or_find)
]
HighLr = Annotated[Any, o.Option("Training", "LR", "The LR that is too high", parse_one_lr)]
LowLr = Annotated[Any, o.Option("Training", "LR", "The LR that is too low", parse_one_lr)]
RightEpochs = Annotated[Any, o.Option("Training", "N", 'Epochs of the "right" run', o.number(1, o.MANY))]
LongEpochs = Annotated[Any, o.Option("Training", "N", 'Epochs of the "too long" run', o.number(1, o.MANY))]


@cli.recipe(
    learner=dict.fromkeys(("data", "arch", "precision")),
    quick={"epochs": 2, "long": 3, "seeds": 1, "out": "results/learning_rate-quick"},
)
def main(
    data: o.Data = "digits",
    arch: ScratchArch = "small",
    lr: RightLr = "find",
    high: HighLr = 0.1,
    low: LowLr = 1e-6,
    epochs: RightEpochs = 8,
    long: LongEpochs = 30,
    seeds: o.Seeds = 3,
    learner: o.Learner = None,
    bs: o.BatchSize = None,
    size: o.Size = None,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    no_cache: o.NoCache = False,
    log: o.Log = None,
    out: o.Out = "results/learning_rate",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
    *,
    knobs: o.TrainingKnobs,
):
    "Show what LRs and lengths that are too high, low, short, long and right do to the loss and the accuracy."
    if long <= epochs:
        raise UserError(f"`long` {long}: expected more than the `epochs` {epochs} that are right")

    from lrlab.recipes.kitchen.learner_workload import choose_workload
    from lrlab.recipes.studies.learning_rate import study

    study.check_order(low, lr, high)
    images = {"data": data, "arch": arch, "size": size, "bs": bs, "precision": precision}
    question = study.Question(
        workload=choose_workload(learner, **images, **knobs, scratch=learner is None, cache=not no_cache),
        lr=lr,
        high=high,
        low=low,
        epochs=epochs,
        long=long,
        seeds=seeds,
        threads=threads,
    )
    return study.answer(question, out, jobs, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
