"""Calls in a new process, and the memory that a call takes.

This module imports no large package: their import time is the subject of one of the
benchmarks.
"""

import gc
import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.common.paths import ROOT

__all__ = ["GB", "ONE_THREAD", "in_fresh_process", "peak_memory"]

GB = 1e9
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment variables that limit numpy and torch to one thread."""


def in_fresh_process(function, *, threads=1, timeout=None, memory=None, **kwargs):
    """Call a function in a new process.

    Parameters
    ----------
    function : str
        "module:name". The function must return a value that JSON can represent.
    threads : int or None
        1 limits numpy and torch to one thread; None keeps their defaults.
    timeout : float, default=None
        Time limit in seconds.
    memory : float, default=None
        Memory limit in bytes.
    **kwargs
        Arguments of the function.

    Returns
    -------
    result
        The returned value, or a dict with the key "left_out", which holds the reason,
        if the call exceeded a limit.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ONE_THREAD}
    if threads == 1:
        environment |= ONE_THREAD
    call = json.dumps({"function": function, "memory": memory, "kwargs": kwargs})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.common.fresh_process", call],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            timeout=timeout,
            text=True,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return {"left_out": f"more than {timeout / 60:.0f} minutes"}
    return json.loads(done.stdout.splitlines()[-1])


def _run(call):
    """Run a call in the new process."""
    module, name = call["function"].split(":")
    if call["memory"] is not None:
        limit = int(call["memory"])
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    function = getattr(importlib.import_module(module), name)
    try:
        return function(**call["kwargs"])
    except MemoryError:
        return {"left_out": f"more than {call['memory'] / GB:.0f} GB"}


def peak_memory(f, *args, **kwargs):
    """Call a function and measure the peak growth of the process.

    On Linux the high-water mark of the process is reset before the call. On other
    systems the mark includes earlier allocations, so the growth may be underestimated.

    Returns
    -------
    result
        What the function returned.
    n_bytes : int
        Peak growth in bytes, the result included.
    """
    gc.collect()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    before = _high_water_mark()
    result = f(*args, **kwargs)
    return result, _high_water_mark() - before


def _high_water_mark():
    """Return the peak resident size of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would include the size of the parent at the fork.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(_run(json.loads(sys.argv[1]))))
