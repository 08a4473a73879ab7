"""The memory of a fragmented C heap returns to the operating system."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sk_ssvae.utils.heap import INTERVAL, MAX_GROWTH, HeapTrimmer

FIT = """
import sys, threading, time
import numpy as np
from sk_ssvae import SSVAEClassifier
from sk_ssvae.utils.heap import anonymous_memory

X = np.load(sys.argv[1], mmap_mode="r")[: int(sys.argv[2])]
y = np.full(len(X), -1)
y[:100] = np.arange(100) % 2
clf = SSVAEClassifier(
    teacher=None, max_epochs=1, batch_size=4096, hidden_sizes=(32,), random_state=0
)
start = peak = anonymous_memory()

def watch():
    global peak
    while True:
        peak = max(peak, anonymous_memory())
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
clf.fit(X, y)
print(peak - start)
"""


def test_heap_is_trimmed_when_the_process_has_grown():
    size, trims = [0], []
    trimmer = HeapTrimmer(lambda: size[0], lambda: trims.append(size[0]))

    def run(new_size):
        size[0] = new_size
        for _ in range(INTERVAL):
            trimmer.step()

    run(100)
    run(100 + MAX_GROWTH)
    assert trims == []
    run(101 + MAX_GROWTH)
    assert trims == [101 + MAX_GROWTH]
    # The level is measured again: what a step needs is not returned every time.
    run(101 + MAX_GROWTH)
    run(101 + 2 * MAX_GROWTH)
    assert len(trims) == 1
    # It falls with the memory of the process.
    run(50)
    run(51 + MAX_GROWTH)
    assert len(trims) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_fit_on_a_memory_map_is_that_of_few_rows(tmp_path):
    path = tmp_path / "rows.npy"
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (200_000, 512))
    rng = np.random.default_rng(0)
    for chunk in np.split(rows, 20):
        chunk[:] = rng.standard_normal(chunk.shape, dtype=np.float32)
    del rows

    def growth(n_rows):
        command = [sys.executable, "-c", FIT, str(path), str(n_rows)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert growth(200_000) < growth(8192) + 200 * 2**20
