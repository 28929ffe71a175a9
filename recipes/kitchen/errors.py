"""Errors that a user can put right.

A message names an argument in backticks: "`lr_max` 0: expected a positive number". That reads well in Python. The
command line shows the same argument as its option, `--lr-max`.
"""

import re
import shlex


class UserError(ValueError):
    "Bad input. The message says what, which value, and what is allowed. The command line exits with `exit_code`."

    exit_code = 2


class Refused(UserError):
    "The request is valid, but it would destroy or contradict something that is already on disk."


class NothingFinished(UserError):
    "Every run failed, or those that an answer needs. The tables say why."

    exit_code = 1


class UserCodeError(UserError):
    "The user's own code raised an exception, or made something that cannot be used."

    exit_code = 1


def with_options(message: str) -> str:
    """Write the arguments that a message names as options of the command line.

    >>> with_options("`lr_max` 0: expected a positive number")
    '--lr-max 0: expected a positive number'
    >>> with_options('write `judge="+my_cost"`')
    'write --judge=+my_cost'
    """

    def option(found: re.Match) -> str:
        value = "" if found[2] is None else f"={shlex.quote(found[2])}"
        return f"--{found[1].replace('_', '-')}{value}"

    return re.sub(r'`([a-z_]+)(?:="([^`]*)")?`', option, message)
