"""Which published learning-rate claims hold here? Each re-checked with seeds, intervals and a verdict by a stated rule.

Trains what the claims need, shares runs between them, and writes one page: what was published, what was measured, and
whether the claim holds, does not hold here, or stays undecided. The same command continues where it stopped.

    lrlab claims --data ~/photos --claims cosine-constant,high-lr --seeds 10
"""

from lrlab.recipes import cli


def main(
    data: str = "solar,digits",  # Workloads: names of datasets and folders of images, as in lrlab compare
    claims: str = "all",  # all, or names from the table of the results
    seeds: str = None,  # How many seeds, or which (0,5,7); default: 5, and 10 on data as small as digits
    precision: str = "auto",  # fp32, bf16, fp16 (GPU), or auto: the fastest, measured once
    jobs: str = "auto",  # Runs at the same time
    threads: int = 1,  # Processor threads per run
    no_cache: bool = False,  # Decode the images in memory, keep nothing of them on disk
    out: str = None,  # Folder of the results (default: results/claims)
    fresh: bool = False,  # Start over; what the folder holds is kept aside
    quick: bool = False,  # A smoke run: the claims about restarts, digits, 2 seeds, 3 epochs
):
    "Re-check published claims about learning rates on your own images."
    from lrlab.recipes.kitchen import options
    from lrlab.recipes.studies.claims import study as court
    from lrlab.recipes.studies.claims.bench import FULL, QUICK

    if quick:
        data = "digits" if data == "solar,digits" else data
        claims, seeds = "sgdr-early,sgdr-end" if claims == "all" else claims, seeds or "2"
    question = court.Question(
        workloads=court.parse_workloads(data, precision, cache=not no_cache),
        claims=court.parse_claims(claims),
        seeds=options.parse_seeds(seeds) if seeds else None,
        scale=QUICK if quick else FULL,
        threads=options.in_range("threads", threads, 1, 256),
    )
    out = out or f"results/claims{'-quick' * quick}"
    result = court.answer(question, out, options.parse_jobs(jobs, threads), fresh)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
