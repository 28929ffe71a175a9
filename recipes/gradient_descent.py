"""What do a small and a large learning rate do, and do cycles leave a local minimum? Gradient descent one can see.

Goes down a bowl and a narrow valley with an LR that is too small, right and too large; then down two surfaces with
five minima, from 1,000 random starts with noisy gradients, with every schedule at its own best LR.

    lrlab gradient-descent --starts 1000 --noise 1.0
"""

from lrlab.recipes import cli


def main(
    schedules: str = "constant,exponential,triangular,sgdr,one_cycle",  # Names or calls; differences are to the first
    epochs: int = 15,  # Length of every descent, in epochs of 20 steps
    starts: int = 1000,  # Random starts from which the shares are measured
    noise: float = 1.0,  # Standard deviation of the noise in each component of the gradient
    seed: int = 0,  # Starts and noise
    out: str = None,  # Folder of the results (default: results/gradient_descent)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: 100 starts
):
    "Show what the learning rate does on surfaces one can see, and how often each schedule finds the global minimum."
    from lrlab.recipes.kitchen import options, schedule_names
    from lrlab.recipes.kitchen.errors import UserError
    from lrlab.recipes.studies.gradient_descent import descent
    from lrlab.recipes.studies.gradient_descent import study as descent_answer

    starts = min(starts, 100) if quick else starts
    options.check_range("epochs", epochs, 1, 1000)
    options.check_range("starts", starts, 5, 100_000)
    options.check_range("noise", noise, 0.0, 100.0)
    options.check_range("seed", seed, 0, 2**32 - 1)
    parsed = schedule_names.parse_schedules(schedules, epochs)
    for label, schedule in parsed.items():
        try:
            schedule.multipliers(epochs * descent.STEPS_PER_EPOCH, descent.STEPS_PER_EPOCH)
        except ValueError as error:
            raise UserError(f"`schedules` {label}: {error}") from error
    question = descent.Question(parsed, epochs, starts, float(noise), seed)
    result = descent_answer.answer(question, out or f"results/gradient_descent{'-quick' * quick}", fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
