"""What went wrong in a training run, in words, decided by a stated rule from its curves. Pure functions of tables."""

import numpy as np
import pandas as pd

NOISE = 0.01  # of the guessing loss: smaller differences do not count
RISE = 0.15  # of the guessing loss: a rise of the validation loss from one epoch to the next that counts as a jump
JUMPS = 0.2  # of the epochs after the first: so many jumps are bouncing
SPIKE = 3.0  # times the guessing loss, or the first batch's if that is higher: a loss above this is bouncing too
MOVED = 0.1  # of the guessing loss: how far below it the training loss must come to have moved
WORSE = 0.1  # by which share the last validation loss exceeds the best one when it got worse again
FALLING = 0.05  # by which share the losses still fell in the last epoch of a run that was cut short

RULE = f"""guessing: the loss of the best constant answer, such as the shares of the classes; less than {NOISE:.0%} of
  it does not count.
diverged: the loss was not finite, or ten times the first one for 10 batches in a row.
bounced: after {JUMPS:.0%} of the epochs the validation loss had risen by over {RISE:.0%} of guessing, or the
  training loss of a batch was over {SPIKE:g} times both guessing and the first batch, or the last validation
  loss is over {WORSE:.0%} above the best although the training loss is not lower than then.
hardly moved: the last epoch's training loss is not {MOVED:.0%} below guessing. If the last validation loss is over
  {SPIKE:g} times both guessing and the first batch, it bounced instead.
overfitted: the last validation loss is over {WORSE:.0%} above the best, and the training loss is lower than then.
cut short: one epoch only, or training and validation loss both still fell by over {FALLING:.0%} in the last epoch.
right: none of these. The first that holds is the word.""".replace("%", " %")


def diagnose(epochs: pd.DataFrame, losses: np.ndarray, guess: float, diverged: bool = False) -> str:
    """The word for one run.

    `epochs` has train_loss and valid_loss, one row an epoch; `losses` is the training loss of every step (or empty, if
    only the epochs are known); `guess` is the loss of the best constant answer, such as the shares of the classes.
    """
    valid, train, noise = epochs.valid_loss.to_numpy(), epochs.train_loss.to_numpy(), NOISE * guess
    if diverged or not np.isfinite(valid).all() or not len(valid):
        return "diverged"
    best = valid.argmin()
    worse = valid[-1] > max((1 + WORSE) * valid[best], valid[best] + noise)
    learned = train[-1] < train[best]
    jumps = (np.diff(valid) > RISE * guess).mean() if len(valid) > 1 else 0.0
    spike = SPIKE * max([guess, *losses[:1]])  # an untrained regression may be far above guessing
    spiked = len(losses) > 0 and np.max(losses) > spike
    if jumps >= JUMPS or spiked or (worse and not learned):
        return "bounced"
    if train[-1] > (1 - MOVED) * guess:
        return "bounced" if valid[-1] > spike else "hardly moved"
    if worse:
        return "overfitted"
    if len(valid) == 1 or all(c[-1] < min((1 - FALLING) * c[-2], c[-2] - noise) for c in (train, valid)):
        return "cut short"
    return "right"


def guessing_loss(counts: list[int]) -> float:
    "Cross-entropy, in nats, of always answering with the classes' shares."
    shares = np.array(counts, float) / sum(counts)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def majority(words: pd.Series) -> str:
    "The most frequent word of several seeds, with how often where they differ; all words where none is."
    counts = words.value_counts()
    if len(counts) == 1:
        return counts.index[0]
    most = counts[counts == counts.max()].index
    return f"{most[0]} ({counts.max()} of {counts.sum()})" if len(most) == 1 else " / ".join(sorted(counts.index))
