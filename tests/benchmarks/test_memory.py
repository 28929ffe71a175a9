"""Memory of a process that does many runs, as a ratio within the process."""

import subprocess
import sys

FIFTY_RUNS = """
import resource, sys
from lrlab.recipes.kitchen.grid.runner import run_grid
from lrlab.recipes.kitchen.runs.plan import plan_runs
from lrlab.recipes.kitchen.schedule_names import parse_schedules
from lrlab.recipes.kitchen.workloads import ImageWorkload

workload = ImageWorkload(sys.argv[1], size=16, bs=16)
images, peaks = workload.load(), []
keep = lambda result: peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
run_grid(plan_runs(parse_schedules("cosine", 1), 1e-2, range(50), 1), workload, images, keep)
print(*peaks)
"""


def test_fifty_runs_in_one_process_take_hardly_more_memory_than_ten(image_folder):
    done = subprocess.run(
        [sys.executable, "-c", FIFTY_RUNS, str(image_folder)], capture_output=True, text=True, check=True
    )
    peaks = [int(peak) for peak in done.stdout.split()]
    assert len(peaks) == 50
    assert peaks[-1] <= 1.05 * peaks[9], f"{peaks[9]} kB after 10 runs, {peaks[-1]} kB after 50"
