"""The claims as data: who said what, with which number, and which of our readings decide it.

A number stands here only if it was seen in its source, or is marked as quoted from memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.text import did_you_mean, shorten


@dataclass(frozen=True)
class Claim:
    "`better` is claimed to exceed `than`; with `as_good`, to lose less than the tolerance against it."

    name: str
    says: str  # the claim in a sentence
    source: str
    published: str
    setting: str  # ours, in words
    group: str  # of runs, see experiments.GROUPS
    better: str  # a reading of that group
    than: str
    if_so: str  # what it means for a user
    if_not: str
    as_good: bool = False
    schedules: tuple[str, ...] = ()  # whose tuned lr_max it uses


TUTORIAL = "BuaLabs, notebook 02a (fastai 1, 3 or 7, vgg16_bn from scratch, one run)"
CLR = "Smith 2015, arXiv:1506.01186"
SGDR = "Loshchilov & Hutter 2016, arXiv:1608.03983"
SNAPSHOT = "Huang et al. 2017, arXiv:1704.00109"
SUPER = "Smith & Topin 2017, arXiv:1708.07120 (ICLR 2018 submission)"
ULMFIT = "Howard & Ruder 2018, arXiv:1801.06146"
HAEGELE = "Hägele et al. 2024, arXiv:2405.18392"

_TUTORIAL_SETTING = (
    "constant LR from scratch; the right LR is lr_find's suggestion, the right length {epochs} epochs; the words are "
    "the diagnosis of lrlab learning-rate"
)
_DESCENT = (
    "noisy gradient descent on a surface of five minima from {starts:,} starts, each schedule at its best LR; the "
    "share of starts that end in the global minimum"
)
_MEASURED_ANEW = "; batch-norm statistics are measured anew for the average, which helps where steps are few"
_OWN_GRIDS = "each at its own best LR, tuned on other seeds"
_TUNED = "{epochs} epochs, both at their own best LR of one grid, tuned on other seeds"

CLAIMS = (
    Claim(
        "high-lr",
        "An LR of 0.1 is too high: the right LR ends higher",
        TUTORIAL,
        "LR 0.1: 99.62 % after 10 epochs, fallen to 84.44 % on the way; LR 3e-4: 99.93 % after 30",
        _TUTORIAL_SETTING,
        "lesson",
        "right",
        "too high",
        "look for the LR before you train: 0.1 costs accuracy.",
        "0.1 costs little here: an LR range test tells how high is too high, a rule of thumb does not.",
    ),
    Claim(
        "low-lr",
        "An LR of 1e-6 is too low: the right LR ends higher",
        TUTORIAL,
        "LR 1e-6: 91.68 % after 8 epochs; LR 3e-4: 98.41 % after one",
        _TUTORIAL_SETTING,
        "lesson",
        "right",
        "too low",
        "a loss that hardly falls is a reason to raise the LR, not to train longer.",
        "even a tiny LR gets there within this budget.",
    ),
    Claim(
        "too-short",
        "One epoch is too short: the right length ends higher",
        TUTORIAL,
        "LR 3e-4: 98.41 % after 1 epoch, 99.93 % after 30",
        _TUTORIAL_SETTING,
        "lesson",
        "right",
        "too short",
        "do not judge a model by its first epoch.",
        "one epoch is enough to see how good this model gets.",
    ),
    Claim(
        "too-long",
        "{long} epochs are too long: the right length ends higher",
        TUTORIAL,
        "30 epochs at LR 3e-4 may overfit, it says; its own table: 100.00 % at epoch 14, 99.93 % at epoch 30",
        _TUTORIAL_SETTING,
        "lesson",
        "right",
        "too long",
        "stop early: more epochs at a constant LR make accuracy worse.",
        "more epochs do not hurt accuracy here, even where the validation loss rises again.",
    ),
    Claim(
        "clr-trough",
        "Under a cyclical LR, accuracy is higher at the LR's trough than at its peak",
        f"{CLR}; numbers: reproduction coxy1989/clr, CIFAR-10, 5 seeds",
        "75.93 ± 0.31 % at the LR's minimum (20k steps), 72.10 ± 0.84 % at its peak (18k)",
        "triangular, 2 epochs a cycle, {clr} epochs, tuned LR; each peak of the second half against the mean of the "
        "troughs before and after it",
        "clr",
        "at the trough",
        "at the peak",
        "stop and compare cyclic schedules at the ends of their cycles only.",
        "it hardly matters here at which point of a cycle one stops.",
        schedules=("triangular",),
    ),
    Claim(
        "clr-constant",
        "A triangular LR beats a constant LR",
        f"{CLR}, Table 1 (CIFAR-10)",
        "81.4 % after 25k steps of triangular2, which a fixed LR needs 70k steps for",
        _TUNED,
        "tuned",
        "triangular",
        "constant",
        "cycling pays even against a constant LR that was tuned as carefully.",
        "a well-tuned constant LR is as good: the gain of cycling was a gain of a higher LR.",
        schedules=("triangular", "constant"),
    ),
    Claim(
        "sgdr-early",
        "Warm restarts are ahead early",
        f"{SGDR}, section 4",
        "a run without restarts (T0 = 200) has the worst anytime performance, say its authors; no single number",
        _TUNED + "; mean accuracy at the ends of the first cycles (epochs {early}) against one cosine at the same time",
        "tuned",
        "sgdr early",
        "cosine early",
        "use restarts where training may have to stop at any time.",
        "restarts help little, even if training may have to stop at any time.",
        schedules=("sgdr", "cosine"),
    ),
    Claim(
        "sgdr-end",
        "A single cosine is as good at the end as warm restarts",
        f"{SGDR}, Table 1 (WRN-28-10, CIFAR-10/100)",
        "errors 3.86/19.98 % without restarts, 4.03/19.58 and 4.09/19.74 % with",
        _TUNED,
        "tuned",
        "cosine",
        "sgdr",
        "if the budget is known, one cosine decay is enough.",
        "restarts end higher even when the budget is known.",
        as_good=True,
        schedules=("cosine", "sgdr"),
    ),
    Claim(
        "snapshot-last",
        "An ensemble of 3 snapshots beats its last snapshot",
        f"{SNAPSHOT}; numbers: {SGDR}, Table 2 (CIFAR-10/100)",
        "errors 4.03/19.57 % with 1 snapshot, 3.51/17.75 % with 3",
        "{snapshots} epochs in 3 cosine cycles at SGDR's tuned LR",
        "snapshots",
        "ensemble",
        "last snapshot",
        "if you train with restarts anyway, average the snapshots' predictions.",
        "use the last snapshot alone: the ensemble gains little, and predicts three times more slowly.",
        schedules=("sgdr", "cosine"),
    ),
    Claim(
        "snapshot-single",
        "An ensemble of 3 snapshots beats one single-cycle run of equal budget",
        f"{SNAPSHOT}; number against it: titu1994/Snapshot-Ensembles (WRN-16-4, CIFAR-10)",
        "errors 3.4/17.4 % (DenseNet, abstract); titu1994: best single model 92.70 %, ensemble 92.79 %",
        "{snapshots} epochs in 3 cosine cycles against {snapshots} epochs of one cosine, each at its tuned LR",
        "snapshots",
        "ensemble",
        "single cycle",
        "a snapshot ensemble is worth its three-fold prediction time.",
        "spend the budget on one cosine run: the ensemble gains little, and predicts three times more slowly.",
        schedules=("sgdr", "cosine"),
    ),
    Claim(
        "one-cycle-sooner",
        "1cycle at its high LR gets there in fewer epochs than a step schedule",
        f"{SUPER}, Table 1 (ResNet-56, CIFAR-10)",
        "92.4 % after 10k steps of 1cycle, 91.2 % after 80k of a step schedule",
        "{short} epochs of 1cycle against {epochs} of step decay, each at its best LR for its length",
        "short",
        "one_cycle short",
        "step",
        "1cycle saves epochs at no loss of accuracy.",
        "1cycle does not make up for missing epochs here: its saving costs accuracy.",
        as_good=True,
        schedules=("one_cycle", "step"),
    ),
    Claim(
        "one-cycle-short",
        "At a short budget, 1cycle beats a step schedule",
        f"{SUPER}, Table 1 (ResNet-56, CIFAR-10)",
        "92.4 % after 10k steps of 1cycle, 91.2 % after 80k of a step schedule",
        "{short} epochs of each, at its best LR for that length",
        "short",
        "one_cycle short",
        "step short",
        "use 1cycle where only a few epochs can be afforded.",
        "at a few epochs too, a tuned step schedule will do.",
        schedules=("one_cycle", "step"),
    ),
    Claim(
        "one-cycle-little-data",
        "1cycle's lead over a step schedule is larger with little data",
        f"{SUPER}, Table 1 (ResNet-56, parts of CIFAR-10)",
        "40k images: 89.1 → 91.1 %; 10k images: 71.4 → 80.6 %",
        "a fifth of the training images against all of them for {short} epochs: equally many steps, each tuned; "
        "the leads are compared",
        "little",
        "lead with a fifth",
        "lead with all",
        "1cycle is worth most where images are few.",
        "few images are no particular reason for 1cycle.",
        schedules=("one_cycle", "step"),
    ),
    Claim(
        "one-cycle-not-always",
        "Not everywhere: a step schedule with its full budget is as good as 1cycle",
        f"{SUPER}, section 6.2; numbers: coxy1989/superconv (3-layer net, CIFAR-10, 5 runs)",
        "decays 79.00 and 80.11 %, 1cycle 78.65 %",
        _TUNED,
        "tuned",
        "step",
        "one_cycle",
        "with epochs enough, a step schedule costs nothing against 1cycle.",
        "1cycle keeps its lead with the full budget.",
        as_good=True,
        schedules=("step", "one_cycle"),
    ),
    Claim(
        "discriminative",
        "Discriminative LRs beat one LR for all layers",
        f"{ULMFIT}, ablation",
        "IMDb error 6.87 → 5.57 % (quoted from memory)",
        "pretrained EfficientNet-Lite0, {px} px, on data of 32 px or more; {transfer} epochs of 1cycle after one for "
        "the head; slice(lr/100, lr) against lr, each the best of 4 on another seed",
        "transfer",
        "slice",
        "one LR",
        "give a pretrained model slice(lr/100, lr).",
        "one LR for all layers will do for this pretrained model.",
    ),
    Claim(
        "gradual",
        "Gradual unfreezing beats training all layers with one LR",
        f"{ULMFIT}, ablation",
        "IMDb error 6.87 → 5.00 % with discriminative LRs and slanted triangles (quoted from memory)",
        "as discriminative; one more layer group is unfrozen every epoch, with the slice's LRs",
        "transfer",
        "gradual",
        "one LR",
        "unfreeze a pretrained model group by group.",
        "unfreezing group by group gains little at so small a budget.",
    ),
    Claim(
        "naive-unfreeze",
        "Unfreezing with fastai's default LR sets a pretrained model back",
        "BuaLabs, notebook 01i (pets, resnet34, one run)",
        "error .0812 before; .5365 and .1583 in the two epochs after",
        "pretrained EfficientNet-Lite0, {px} px, 1cycle at 1e-3 for all layers; after its first epoch, against "
        "going on with the head alone",
        "transfer",
        "head only, first epoch",
        "naive, first epoch",
        "choose a new, lower LR when you unfreeze.",
        "unfreezing at the default LR does little harm here.",
    ),
    Claim(
        "averaging",
        "The average of a constant LR's last weights beats its last iterate",
        "Izmailov et al. 2018, arXiv:1803.05407; numbers: timgaripov/swa (CIFAR-100, equal budget, SGD that decays)",
        "VGG16 72.55 → 73.91 %, PreResNet-164 78.49 → 79.77 %",
        "{epochs} epochs at the constant schedule's tuned LR; CycleAverage over the ends of epochs {averaged}",
        "averaging",
        "average",
        "last iterate",
        "add CycleAverage to a constant LR: it costs one pass over the data.",
        "averaging the last epochs gains little here.",
        schedules=("constant",),
    ),
    Claim(
        "linear-constant",
        "A linear decay to zero beats a constant LR",
        "Defazio et al. 2023, arXiv:2310.07831; Li et al. 2020, arXiv:1905.04753",
        "linear matches or beats cosine in 10 problems; linear to zero is robust at every budget (no number quoted)",
        _TUNED,
        "tuned",
        "linear",
        "constant",
        "let the LR fall to zero by the end.",
        "a tuned constant LR will do at this budget.",
        schedules=("linear", "constant"),
    ),
    Claim(
        "linear-band",
        "A linear decay has a wider safe band of LRs than a constant LR",
        "lrlab, after the LR sensitivity of Wortsman et al. 2023, arXiv:2309.14322",
        "no number: the paper compares warm-up and other settings, not these two",
        "{short} epochs at 9 LRs over four decades around lr_find's; the share of them that misses at most a point "
        "against the best LR of the schedule",
        "band",
        "linear",
        "constant",
        "with a linear decay the LR may be wrong by more.",
        "a linear decay does not forgive a wrong LR more.",
    ),
    Claim(
        "cosine-constant",
        "A cosine decay to zero beats a constant LR",
        "Loshchilov & Hutter 2016, arXiv:1608.03983; numbers: d2l.ai's LeNet on Fashion-MNIST, one run each",
        "cosine 90.1 %, constant 88.8 %",
        _TUNED,
        "tuned",
        "cosine",
        "constant",
        "let the LR fall to zero by the end.",
        "a tuned constant LR will do at this budget.",
        schedules=("cosine", "constant"),
    ),
    Claim(
        "cooldown-cosine",
        "A constant LR with a short cooldown is as good as a cosine decay",
        HAEGELE,
        "a cooldown matches cosine without a known length (language models; no number quoted)",
        "{epochs} epochs, the last fifth a 1-sqrt cooldown, against one cosine; " + _OWN_GRIDS,
        "cooldown",
        "cooldown_sqrt",
        "cosine",
        "train at a constant LR and cool down when you want to stop: the length need not be known.",
        "a cosine over a known length ends higher than a constant LR with a cooldown.",
        as_good=True,
        schedules=("cosine",),
    ),
    Claim(
        "sqrt-cooldown",
        "A 1-sqrt cooldown beats a linear one",
        HAEGELE,
        "1-sqrt ends below linear decay in loss (language models; no number quoted)",
        "{epochs} epochs, the last fifth a cooldown of either shape, each at its own best LR of one grid",
        "cooldown",
        "cooldown_sqrt",
        "cooldown_linear",
        'use Trapezoid(shape="1-sqrt").',
        "the shape of the cooldown hardly matters here.",
    ),
    Claim(
        "tail-average",
        "The average along a constant LR is as good as a cooldown",
        "Tian et al. 2025 (WSM), arXiv:2507.17634; Hägele et al. 2024, arXiv:2405.18392",
        "averaged checkpoints of a constant LR take the place of a decay (language models; no number quoted)",
        "{epochs} epochs at a constant LR, TailAverage over the second half, against a 1-sqrt cooldown over the last "
        "fifth; " + _OWN_GRIDS + _MEASURED_ANEW,
        "tail",
        "tail_average",
        "cooldown_sqrt",
        "add TailAverage to a constant LR, and stop whenever you like.",
        "averaging does not take the place of a cooldown here.",
        as_good=True,
    ),
    Claim(
        "schedule-free",
        "Schedule-free AdamW is as good as a cosine schedule",
        "Defazio et al. 2024, arXiv:2405.15682",
        "won the self-tuning track of AlgoPerf in 2024 (no accuracy quoted)",
        "{epochs} epochs of AdamWScheduleFree with 5 % warm-up, against fastai's Adam with one cosine; "
        + _OWN_GRIDS
        + _MEASURED_ANEW,
        "schedule_free",
        "schedule_free",
        "cosine",
        "schedule-free AdamW spares you the schedule, not the search for its LR.",
        "a tuned cosine ends higher than schedule-free AdamW.",
        as_good=True,
        schedules=("cosine",),
    ),
    Claim(
        "restarts-constant",
        "Warm restarts escape local minima more often than a constant LR",
        f"{SGDR}; LRBench, arXiv:1908.06477 (figure of its README)",
        "a fixed LR of 0.025 ends in a local optimum (one descent; no share published)",
        _DESCENT,
        "descent",
        "sgdr",
        "constant",
        "restarts help to leave local minima of this kind.",
        "restarts find the global minimum hardly more often than a constant LR that was tuned as carefully.",
    ),
    Claim(
        "restarts-cosine",
        "Warm restarts escape local minima more often than one cosine decay",
        f"{SGDR}; LRBench, arXiv:1908.06477 (figure of its README)",
        "no share published",
        _DESCENT,
        "descent",
        "sgdr",
        "cosine",
        "it is the restarts that help to leave local minima of this kind.",
        "restarts leave local minima hardly more often than one decay from a high LR.",
    ),
    Claim(
        "lr-find-constant",
        "lr_find's suggestion is as good as the best LR of a grid, for a constant LR",
        f"{CLR}, section 3.3 (the LR range test)",
        "no accuracy published; a reproduction (zchrissirhcz) did not see the drop of its Figure 3 in 5 runs",
        "{epochs} epochs; one LR range test (fastai's valley) against the best of {points} LRs or more on other seeds",
        "lr_find",
        "constant at lr_find's",
        "constant",
        "take lr_find's suggestion and skip the grid.",
        "try LRs around lr_find's suggestion: the best of a grid is better.",
        as_good=True,
        schedules=("constant",),
    ),
    Claim(
        "lr-find-one-cycle",
        "lr_find's suggestion is as good as the best LR of a grid, for 1cycle",
        f"{CLR}, section 3.3 (the LR range test)",
        "no accuracy published; a reproduction (zchrissirhcz) did not see the drop of its Figure 3 in 5 runs",
        "{epochs} epochs; one LR range test (fastai's valley) against the best of {points} LRs or more on other seeds",
        "lr_find",
        "one_cycle at lr_find's",
        "one_cycle",
        "take lr_find's suggestion and skip the grid.",
        "go above or below lr_find's suggestion with 1cycle: the best of a grid is better.",
        as_good=True,
        schedules=("one_cycle",),
    ),
)
BY_NAME = {claim.name: claim for claim in CLAIMS}


def parse_claims(claims: str | Iterable[str], argument: str = "claims") -> list[Claim]:
    "Claims by name, from a comma list, a sequence, or `all`. Raises UserError with the nearest name."
    parts = claims.split(",") if isinstance(claims, str) else claims
    names = [name.strip().lower().replace("_", "-") for name in map(str, parts) if name.strip()]
    if names == ["all"]:
        return list(CLAIMS)
    for name in names:
        if name not in BY_NAME:
            hint = did_you_mean(name, BY_NAME, cutoff=0.5)
            raise UserError(f"`{argument}`: there is no claim {name}; the claims are all, {', '.join(BY_NAME)}{hint}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"`{argument}` {shorten(claims)}: expected all, or different names: high-lr,cosine-constant")
    return [claim for claim in CLAIMS if claim.name in names]
