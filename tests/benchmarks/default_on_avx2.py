"""The default comparison with and without AVX-512: the processor time of an epoch, in turns.

    python tests/benchmarks/default_on_avx2.py [repeats]

Starts a process for every epoch, because oneDNN and torch choose their instructions once. Without AVX-512 it trains in
fp32, which `--precision auto` chooses on such a machine. Processor time, with one thread, depends less on what
else the machine does than time.
"""

import os
import subprocess
import sys
import time

import numpy as np

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def seconds_of_an_epoch() -> float:
    "Processor time of an epoch of the default comparison with its validation."
    import torch

    from lrlab.callbacks import CosineDecay
    from lrlab.recipes import build
    from lrlab.recipes.kitchen.options import FIRST_SIZE

    torch.set_num_threads(1)
    learn = build("solar", size=FIRST_SIZE, precision="fp32" if os.environ.items() >= AVX2.items() else "auto")
    start = time.process_time()
    with learn.no_bar(), learn.no_logging():
        learn.fit_schedule(1, CosineDecay(), lr_max=3e-3)
    return time.process_time() - start


def in_a_process(extra: dict[str, str]) -> float:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | extra
    command = [sys.executable, __file__, "one"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def main(repeats: int) -> None:
    pairs = np.array([(in_a_process({}), in_a_process(AVX2)) for _ in range(repeats)])
    ratios = pairs[:, 1] / pairs[:, 0]
    print(f"native {np.median(pairs[:, 0]):.1f} s, AVX2 {np.median(pairs[:, 1]):.1f} s of processor time for an epoch")
    print(f"AVX2 / native: {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}, {repeats} repeats)")


if __name__ == "__main__":
    if sys.argv[1:] == ["one"]:
        print(seconds_of_an_epoch())
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
