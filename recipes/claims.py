"""Which published claims about learning rates hold here?

Re-checks each claim with seeds and intervals, by a rule that is stated beforehand. Trains what the claims need, shares
runs between them, and writes one page: what was published, what was measured, and whether the claim holds, does not
hold here, or stays undecided. The same command again resumes where it stopped.

    lrlab claims --data ~/photos --claims cosine-constant,high-lr --seeds 10
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o
from lrlab.recipes.studies.claims.catalogue import parse_claims

Datasets = Annotated[
    Any, o.Option("Data", "NAMES|FOLDERS", "Datasets and folders of images, separated by commas", o.comma_list)
]
Claims = Annotated[Any, o.Option("Comparison", "NAMES", "all, or names from the table of the results", parse_claims)]
ClaimSeeds = Annotated[
    Any,
    o.Option("Comparison", "N|N,N...", f"{o.SEEDS_HELP} [default: 5; 10 on small data]", o.parse_seeds),
]


@cli.recipe(quick={"data": "digits", "claims": "sgdr-early,sgdr-end", "seeds": 2, "out": "results/claims-quick"})
def main(
    data: Datasets = "solar,digits",
    claims: Claims = "all",
    seeds: ClaimSeeds = None,
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

    question = study.Question(
        workloads=study.parse_workloads(data, precision, cache=not no_cache),
        claims=claims,
        seeds=seeds,
        scale=QUICK if quick else FULL,
        threads=threads,
    )
    return study.answer(question, out, jobs, fresh)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
