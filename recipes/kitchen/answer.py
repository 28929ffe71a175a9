"""The result of a comparison in words: its finding, its table, and the line of code that uses it."""

import pandas as pd

from lrlab.recipes.kitchen.options import show_lr


def finding(summary: pd.DataFrame, reference: str) -> str:
    "One sentence for the title: who is better or worse than the reference, or that nobody can be told apart."
    if summary.n.max() == 0:
        return "No run finished: every schedule diverged or failed"
    others = summary[summary.schedule != reference]
    better, worse = (others[others.verdict == verdict] for verdict in ("better", "worse"))
    lost = others[others.n == 0]
    parts = []
    if len(better):
        leads = ", ".join(f"{row.schedule} by {100 * row['diff']:.1f} points" for _, row in better.iterrows())
        parts.append(f"{leads} better than {reference}")
    beaten = worse[worse.n > 0]
    if len(beaten):
        parts.append(f"{', '.join(beaten.schedule)} worse than {reference}")
    if len(lost):
        parts.append(f"{', '.join(lost.schedule)} did not finish")
    tied = len(others) - len(better) - len(worse)
    if not parts:
        top = summary.iloc[0]
        return f"No schedule can be told apart from {reference} with {top.n} seed{'s' * int(top.n != 1)}"
    if tied:
        parts.append(f"the other {tied} tied with it" if tied > 1 else "the other one tied with it")
    return "; ".join(parts)


def ranked_table(summary: pd.DataFrame, reference: str) -> str:
    "The summary for the terminal: percent, points, n and verdict, best mean first."
    points = f"points vs {reference}"
    head = f"{'schedule':<28} {'lr_max':<20} {'n':>2}  {'accuracy % (95 % interval)':<26} {points:<26} verdict"
    lines = [head, "-" * len(head)]
    for _, row in summary.iterrows():
        accuracy = _interval(100 * row.accuracy_mean, 100 * row.accuracy_low, 100 * row.accuracy_high)
        if row.schedule == reference:
            difference, verdict = "reference", ""
        else:
            difference = _interval(100 * row["diff"], 100 * row.diff_low, 100 * row.diff_high, sign="+")
            verdict = row.verdict
        lost = [f"{row[status]} {status}" for status in ("diverged", "failed") if row[status]]
        verdict = ", ".join([verdict, *lost] if verdict else lost)
        name = row.schedule if len(row.schedule) <= 28 else row.schedule[:27] + "…"
        lines.append(f"{name:<28} {row.lr_max:<20} {row.n:>2}  {accuracy:<26} {difference:<26} {verdict}".rstrip())
    return "\n".join(lines)


def ties(summary: pd.DataFrame, reference: str) -> str:
    "Which schedules the data cannot separate from the reference."
    tied = summary[(summary.verdict == "tied") & (summary.schedule != reference)]
    if tied.empty:
        return f"Tied with {reference}: none."
    return f"Tied with {reference} (the interval of the difference contains 0): {', '.join(tied.schedule)}."


def _interval(mean: float, low: float, high: float, sign: str = "") -> str:
    if pd.isna(mean):
        return "-"
    if pd.isna(low):
        return f"{mean:{sign}.1f}"
    return f"{mean:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def recommended(summary: pd.DataFrame) -> str | None:
    "The schedule to use: the highest mean of those that finished every seed; None if nothing finished."
    finished = summary[summary.n > 0]
    if finished.empty:
        return None
    whole = finished[(finished.diverged == 0) & (finished.failed == 0)]
    return (whole if len(whole) else finished).iloc[0].schedule


def code_line(schedule_repr: str, lr_max: float | slice, epochs: int) -> str:
    "The line of fastai code that trains with it."
    return f"learn.fit_schedule({epochs}, {schedule_repr}, lr_max={show_lr(lr_max)})"
