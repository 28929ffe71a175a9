"""What a user can put right, as one exception; and names from outside, made safe to print."""


class UserError(ValueError):
    "Bad input: the message says what, which value, and what is allowed. The command line exits with `exit_code`."

    exit_code = 2


class Refused(UserError):
    "The request is fine in itself but would destroy or contradict something that is already on disk."


class NothingFinished(UserError):
    "Every run failed, or those that an answer needs: the tables say why, and there is nothing to draw."

    exit_code = 1


_JOINERS = "\u200c\u200d"  # within emoji and in the scripts of Asia: they join letters and do nothing else


def printable(text) -> str:
    """`text` on one line, each control, direction or undecodable character replaced by U+FFFD.

    File and class names may hold anything but `/` and NUL: line breaks, terminal escape sequences, characters that
    turn the direction of writing, bytes that are no UTF-8. What went through here is safe on a terminal and in CSV.

    >>> printable("new\\nline \\x1b[2J")
    'new line �[2J'
    """
    return "".join(_shown(character) for character in " ".join(str(text).split()))


def printable_json(value):
    "The same for every string in a JSON value, keys included: what a file from elsewhere says is shown, not obeyed."
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): printable_json(item) for key, item in value.items()}
    return [printable_json(item) for item in value] if isinstance(value, list) else value


def _shown(character: str) -> str:
    return character if character.isprintable() or character in _JOINERS else "\ufffd"
