"""What a mistake on the command line leads to."""

from lrlab.recipes import cli


def everything(folder) -> set[str]:
    return {str(file) for file in folder.rglob("*")}


def complaint(argv: list[str], capsys, code: int = 2) -> str:
    "The sentence on stderr; the data are small so that even an option that is found fault with late is found soon."
    done = cli.main(argv)
    printed = capsys.readouterr()
    assert done == code, (done, printed.out, printed.err)
    assert printed.err.startswith("lrlab: ") and printed.err.count("\n") == 1 and printed.err.rstrip().isprintable()
    assert not printed.out
    return printed.err.rstrip()
