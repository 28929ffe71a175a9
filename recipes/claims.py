"""Which published claims about learning rates hold here?

Re-checks each claim with seeds and intervals, by a rule that is stated beforehand. Trains what the claims need, shares
runs between them, and writes one page: what was published, what was measured, and whether the claim holds, does not
hold here, or stays undecided. The same command again resumes where it stopped.

    lrlab claims --data ~/photos --claims cosine-constant,high-lr --until-decided
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.studies.claims.catalogue import parse_claims

DATA_HELP = (
    "Datasets and folders of images, separated by commas [default: those that are there of "
    "digits,fashion_mnist:1000,cifar:1000,solar]"
)
Datasets = Annotated[Any, o.Option("Data", "NAMES|FOLDERS", DATA_HELP, o.comma_list)]
Claims = Annotated[Any, o.Option("Comparison", "NAMES", "all, or names from the table of the results", parse_claims)]
UntilDecided = Annotated[
    bool, o.Option("Comparison", "", "Five seeds first; then 10 and 20, or up to --seeds, for undecided claims only")
]
PointTolerance = Annotated[
    Any,
    o.Option("Comparison", "X", "Difference of accuracy that does not matter: 0.01 or 1%", o.parse_tolerance),
]


@cli.recipe(
    quick={"data": "digits", "claims": "sgdr-early,sgdr-end", "seeds": 3, "out": "results/claims-quick"},
    until_decided={"seeds": 20},
)
def main(
    data: Datasets = None,
    claims: Claims = "all",
    seeds: o.Seeds = 5,
    until_decided: UntilDecided = False,
    tolerance: PointTolerance = 0.01,
    precision: o.Precision = "auto",
    jobs: o.Jobs = "auto",
    threads: o.Threads = 1,
    no_cache: o.NoCache = False,
    out: o.Out = "results/claims",
    fresh: o.Fresh = False,
    quick: o.Quick = False,
):
    "Re-check published claims about learning rates on your own images."
    from lrlab.recipes.studies.claims import study
    from lrlab.recipes.studies.claims.bench import FULL, QUICK
    from lrlab.recipes.studies.claims.question import DATA, Question, parse_workloads

    question = Question(
        workloads=parse_workloads(data or DATA, precision, cache=not no_cache),
        claims=claims,
        seeds=seeds,
        scale=QUICK if quick else FULL,
        threads=threads,
        until_decided=until_decided,
        tolerance=tolerance,
        skips_missing=data is None,
    )
    return study.answer(question, out, jobs, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
