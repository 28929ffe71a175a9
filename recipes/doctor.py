"""Is this machine ready for lrlab? Checks versions, the GPU, optional packages, the cache and the disk.

Says how to install what is missing. The exit code is 0 if the recipes can run here, even where an optional
package is missing, else 1.

    lrlab doctor
"""

from lrlab.recipes import cli


def main(
    out: str = ".",  # The folder, or one above it, where results will be written
):
    "Check this machine, and say what to install or to free."
    from lrlab.recipes.studies.doctor.study import checkup

    result = checkup(out)
    print(result.text)
    return result


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
