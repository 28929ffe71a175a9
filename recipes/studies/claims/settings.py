"""The numbers that the settings of the claims mention."""

from collections.abc import Mapping
from typing import Any

TRANSFER_PX = 48  # image size of the pretrained model


def early_epochs(epochs: int) -> list[int]:
    """The epochs at which all but the last of the doubling cycles end.

    >>> early_epochs(7), early_epochs(15)
    ([1, 3], [1, 3, 7])
    """
    return [2**k - 1 for k in range(1, epochs.bit_length()) if 2**k - 1 < epochs]


def words(scale: Mapping[str, Any]) -> dict[str, Any]:
    "What the settings of the claims mention. `scale` is that of config.json: the fields of `bench.Scale`."
    epochs = scale["epochs"]
    early = " and ".join(map(str, early_epochs(epochs)))
    spoken = {"points": scale["tuning"]["points"], "px": TRANSFER_PX, "early": early}
    return {**scale, **spoken, "averaged": f"{epochs // 2 + 1} to {epochs}"}
