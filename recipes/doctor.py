"""Is this machine ready for lrlab?

Checks versions, the GPU, optional packages, the cache and the disk, and says what to install. The exit code is 0 if the
recipes can run here, even without an optional package, else 1.

    lrlab doctor
"""

from typing import Annotated, Any

from lrlab.recipes import cli
from lrlab.recipes.kitchen import options as o


@cli.recipe()
def main(
    out: Annotated[Any, o.Option("Output", "FOLDER", "Where results will be written")] = ".",
):
    "Check this machine and say what to install or to free."
    from lrlab.recipes.studies.doctor.study import checkup

    return checkup(out)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
