"""The code that a recipe prints, as a reader pastes it into a file."""

import re
import textwrap


def run_printed_code(text: str, **names):
    "The Learner that the indented code in `text` leaves behind, where it may use `names` and what it imports alone."
    lines = textwrap.dedent("\n".join(re.findall(r"^    .*$|^$", text, re.M)))
    namespace = dict(names)
    exec(lines[re.search(r"^(from|import) ", lines, re.M).start() :] + "\n", namespace)  # noqa: S102
    return namespace["learn"]
