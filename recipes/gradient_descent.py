"""What does the learning rate do? Gradient descent on surfaces that one can see.

Descends a bowl and a narrow valley with an LR that is too small, right and too large. Then every schedule, at its own
best LR, descends two surfaces with five minima from 1,000 random starts with noisy gradients: do cycles leave a local
minimum?

    lrlab gradient-descent --starts 1000 --noise 1.0
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.kitchen.errors import UserError

DescentEpochs = Annotated[
    Any, o.Option("Training", "N", "Length of every descent, in epochs of 20 steps", o.number(1, 1000))
]
Noise = Annotated[
    Any, o.Option("Training", "X", "Standard deviation of the noise in the gradient", o.number(0.0, 100.0))
]
DescentSeed = Annotated[Any, o.Option("Training", "N", "Seed of the starts and the noise", o.number(0, o.LAST_SEED))]
Starts = Annotated[Any, o.Option("Comparison", "N", "Random starts per schedule", o.number(5, 100_000))]


@cli.recipe(quick={"starts": 100, "out": "results/gradient_descent-quick"})
def main(
    schedules: o.Schedules = "constant,exponential,triangular,sgdr,one_cycle",
    epochs: DescentEpochs = 15,
    starts: Starts = 1000,
    noise: Noise = 1.0,
    seed: DescentSeed = 0,
    out: o.Out = "results/gradient_descent",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
):
    "Show what the learning rate does on surfaces one can see, and how often each schedule finds the global minimum."
    from lrlab.recipes.kitchen import schedule_names
    from lrlab.recipes.studies.gradient_descent import descent, study

    parsed = schedule_names.parse_schedules(schedules, epochs)
    for label, schedule in parsed.items():
        try:
            schedule.multipliers(epochs * descent.STEPS_PER_EPOCH, descent.STEPS_PER_EPOCH)
        except ValueError as error:
            raise UserError(f"`schedules` {label}: {error}") from error
    return study.answer(descent.Question(parsed, epochs, starts, noise, seed), out, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
