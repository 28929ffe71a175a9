"""What a run is judged by: accuracy, a loss, a Brier score, or any metric of the user's. Its direction, and its words.

Nothing here computes a measure. `predictions.py` and the Learner's own metrics do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import percent, shorten

RELATIVE_TOLERANCE, TOLERANCE = 0.02, 0.01  # 2 % of a loss; one point of accuracy
COLUMNS = {"accuracy": "accuracy", "loss": "valid_loss"}  # of runs.csv; any other measure has a column of its name
LABELS = {"brier": "Brier score", "accuracy_multi": "accuracy", "jaccard_coeff": "Jaccard"}
LOWER = {
    *("loss", "brier", "error_rate", "mse", "rmse", "mae", "msle", "exp_rmspe", "perplexity", "hamming_loss"),
    *("mean_squared_error", "root_mean_squared_error", "mean_absolute_error"),
}
SHARES = {  # from 0 to 1, shown in percent
    *("accuracy", "accuracy_multi", "top_k_accuracy", "balanced_accuracy_score", "foreground_acc", "dice"),
    *("jaccard_coeff", "f1_score", "fbeta_score", "precision_score", "recall_score", "jaccard_score", "error_rate"),
    *("roc_auc_score", "average_precision_score", "dice_multi", "jaccard_coeff_multi", "hamming_loss"),
}
HIGHER = SHARES - LOWER | {
    *("r2_score", "explained_variance_score", "matthews_corrcoef", "cohen_kappa_score", "pearson_corrcoef"),
    *("spearman_corrcoef", "corpus_bleu", "roc_auc_score_binary"),
}


@dataclass(frozen=True)
class Measure:
    "A number that judges a run. `decide` takes its `judge`."

    name: str = "accuracy"
    lower_is_better: bool | None = False  # None: unknown, until `resolve_measure` has asked for it

    @classmethod
    def of(cls, judge: str) -> "Measure":
        """The measure that `decide` calls `judge`: a minus says that lower is better.

        Raises ValueError for a known loss or error without a sign: higher would be better.

        >>> Measure.of("-loss")
        Measure(name='loss', lower_is_better=True)
        """
        name = judge.lstrip("+-") if isinstance(judge, str) else ""
        if not name:
            raise ValueError(
                f'judge must be the name of a column, or "-loss" where lower is better; got {shorten(judge)}'
            )
        if judge == name and lower_is_better(name):
            raise ValueError(
                f'judge must say which {name} is better, "-{name}" (lower) or "+{name}" (higher); got {judge!r}'
            )
        return cls(name, judge.startswith("-"))

    @classmethod
    def of_question(cls, question: Mapping[str, Any]) -> "Measure":
        "What `to_dict` has recorded in the question of a folder."
        return cls.of(question.get("judge", "accuracy"))

    @classmethod
    def parse(cls, text: str, name: str = "judge") -> "Measure":
        """The measure that a user names. A plus or minus says which direction is better, where it is not known.

        Raises UserError, naming the argument `name`, for an empty name.

        >>> Measure.parse("loss").judge, Measure.parse("f1_score").judge, Measure.parse("-my_cost").judge
        ('-loss', 'f1_score', '-my_cost')
        """
        word = text.lstrip("+- ").strip() if isinstance(text, str) else ""
        if not word:
            raise UserError(f"`{name}` {shorten(text)}: expected accuracy, loss, brier or the name of a metric")
        sign = text.strip()[0]
        return cls(word, sign == "-" if sign in "+-" else lower_is_better(word))

    @property
    def judge(self) -> str:
        "As `decide` takes it: a plus where the name says that lower is better, and the user says that it is not."
        sign = "-" if self.lower_is_better else "+" if lower_is_better(self.name) else ""
        return sign + self.name

    def to_dict(self) -> dict[str, str]:
        "As the question of a folder records it: accuracy needs no word."
        return {} if self == Measure() else {"judge": self.judge}

    @property
    def is_share(self) -> bool:
        "Whether it lies between 0 and 1 and is shown in percent: a known share, or any accuracy."
        return self.name in SHARES or self.name.endswith("accuracy")

    @property
    def label(self) -> str:
        "Its name in a sentence."
        return LABELS.get(self.name, self.name.replace("_", " "))

    @property
    def unit(self) -> str:
        "What a difference is counted in."
        return "points" if self.is_share else self.label

    def column(self, on_test: bool = False) -> str:
        "Its column in runs.csv."
        return f"test_{self.name}" if on_test else COLUMNS.get(self.name, self.name)

    def show(self, mean: float | None, low: float = math.nan, high: float = math.nan, *, sign: str = "") -> str:
        """A mean with its interval, in percent if it is a share; with `sign="+"` a difference, in points.

        >>> Measure("accuracy").show(0.785, 0.776, 0.793), Measure("loss", True).show(0.1312, 0.125, 0.137)
        ('78.5 (77.6 to 79.3)', '0.1312 (0.1250 to 0.1370)')
        """
        if self.is_share:
            return percent(mean, low, high, sign)
        if mean is None or math.isnan(mean):
            return "-"
        shown, *ends = (f"{value:{sign}#.4g}" for value in (mean, low, high))
        return shown if math.isnan(low) else f"{shown} ({ends[0]} to {ends[1]})"

    def show_difference(self, mean: float | None, low: float = math.nan, high: float = math.nan) -> str:
        """A difference with its interval, in points if it is a share.

        >>> Measure("accuracy").show_difference(-0.006), Measure("loss", True).show_difference(0.0123)
        ('-0.6', '+0.01230')
        """
        return self.show(mean, low, high, sign="+")

    def with_unit(self, mean: float) -> str:
        """
        >>> Measure("accuracy").with_unit(0.785), Measure("loss", True).with_unit(0.1312)
        ('78.5 %', '0.1312')
        """
        return f"{self.show(mean)} %" if self.is_share else self.show(mean)

    def amount(self, value: float, mean: float) -> str:
        "A difference in words, rounded up, so that a sentence never promises more than was shown."
        if self.is_share:
            return f"{math.ceil(1000 * value - 1e-6) / 10:.1f} points"
        if self.lower_is_better:
            return f"{math.ceil(1000 * value / mean - 1e-6) / 10:.1f} % of its {self.label}"
        digits = 2 - math.floor(math.log10(value))
        return f"{math.ceil(value * 10**digits - 1e-6) / 10**digits:g} {self.label}"

    def check_tolerance(self, tolerance: float | None) -> None:
        "Raise UserError for a tolerance of 100 % or more: it would leave no difference that matters."
        if tolerance is not None and tolerance >= 1 and (self.is_share or self.lower_is_better):
            raise UserError(f"`tolerance` {tolerance:g}: expected less than 1 of the {self.label}, such as 0.01, or 1%")

    def margin(self, tolerance: float | None, best_mean: float) -> float:
        """The tolerance in units of the measure. None: one point, or 2 % of the best mean where lower is better.

        A given tolerance of a measure for which lower is better is a share of the best mean, except for shares such as
        an error rate.
        """
        if self.lower_is_better and not self.is_share:
            return (RELATIVE_TOLERANCE if tolerance is None else tolerance) * abs(best_mean)
        return TOLERANCE if tolerance is None else tolerance

    def tolerance_words(self, tolerance: float | None) -> str:
        """
        >>> Measure("accuracy").tolerance_words(None), Measure("loss", True).tolerance_words(0.05)
        ('1 point', '5 % of the loss')
        """
        if self.lower_is_better and not self.is_share:
            return f"{100 * (RELATIVE_TOLERANCE if tolerance is None else tolerance):g} % of the {self.label}"
        value = TOLERANCE if tolerance is None else tolerance
        if not self.is_share:
            return f"{value:g}"
        return f"{100 * value:g} point{'' if value == TOLERANCE else 's'}"


def lower_is_better(name: str) -> bool | None:
    """Whether a lower value of the metric `name` is better; None if its name does not tell.

    fastai's and scikit-learn's metrics are known. scikit-learn's rule helps with others: a name that ends in `_score`
    is better when higher, one that ends in `_error` or `_loss` when lower.
    """
    if name in LOWER or name.endswith(("_error", "_loss")):
        return True
    if name in HIGHER or name.endswith(("_score", "_accuracy")) or name.startswith("accuracy"):
        return False
    return None
