"""Writing that fails: full disks, failing system calls, killed processes."""

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.common.paths import ROOT
from benchmarks.reliability.file_kinds import read_outcome

__all__ = ["fail_system_calls", "fill_disk", "kill_writers"]

ERRORS = ("ENOSPC", "EIO", "EACCES")
OS_ERRORS = ("OSError", "PermissionError", "FileNotFoundError")
NOT_FILES = {"mmap", "munmap", "brk", "futex", "mprotect", "madvise", "getrandom"}
"""System calls that have nothing to do with files."""


def write_outcome(kind, path, before, error):
    """Describe the state after an attempt to write.

    Parameters
    ----------
    kind
        One of `file_kinds.KINDS`.
    path : Path
        The file.
    before : bytes
        Its content before the attempt.
    error
        The reported error, None if there was none.

    Returns
    -------
    str
        Begins with "LOST" if the file is damaged, or unchanged without an error.
    """
    others = {one.name for one in path.parent.iterdir()} - {path.name}
    same = path.exists() and path.read_bytes() == before
    state = read_outcome(kind, path)
    if state not in ("as before", "another"):
        return f"LOST: {state}"
    if error is None and same:
        return "LOST: no error, old file"
    parts = ["no error" if error is None else "error"]
    parts.append("old file" if same else "new file")
    return ", ".join(parts + ["partial file left"] * bool(others))


def fill_disk(kind, folder, n):
    """Limit the size of files: writes are partial, then fail. Count the outcomes."""
    path, outcomes = Path(folder, "file"), Counter()
    kind.write_old(path)
    before = path.read_bytes()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in np.linspace(0, len(before) - 1, n).astype(int):
        path.write_bytes(before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), most))
        error = None
        try:
            kind.write_new(path)
        except OSError as raised:
            error = raised
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        outcomes[write_outcome(kind, path, before, error)] += 1
        path.unlink(missing_ok=True)
    return outcomes


def trace_write(process, command, log):
    """Have the worker write once under strace.

    Returns
    -------
    reply : list or None
        Error message and number of open files, as the worker reports them.
    calls : list of str
        System calls.
    """
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(process.pid), "-o", log, *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    strace.stderr.readline()  # strace is attached
    process.stdin.write("go\n")
    process.stdin.flush()
    reply = process.stdout.readline()
    strace.send_signal(signal.SIGINT)
    strace.wait()
    strace.stderr.close()
    lines = Path(log).read_text().splitlines()
    calls = [m[1] for m in (re.match(r"\d+ +(\w+)\(", line) for line in lines) if m]
    return json.loads(reply) if reply else None, calls


def fail_system_calls(kind, folder):
    """Let each system call of writing fail with each error. Count the outcomes."""
    path, log = Path(folder, "file"), Path(folder, "..", f"{os.getpid()}.strace")
    module = "benchmarks.reliability.write_worker"
    process = subprocess.Popen(
        [sys.executable, "-m", module, type(kind).__name__, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    process.stdout.readline()
    before = path.read_bytes()
    (_, n_open), calls = trace_write(process, [], log)
    outcomes = Counter({"files that stay open": 0})
    first, last = (i for i, name in enumerate(calls) if name == "getppid")
    seen = Counter(calls[:first])
    for name in calls[first + 1 : last]:
        seen[name] += 1
        if name in NOT_FILES:
            continue
        for error in ERRORS:
            inject = f"inject={name}:error={error}:when={seen[name]}"
            path.write_bytes(before)
            n_before = n_open
            (message, n_open), _ = trace_write(process, ["-e", inject], log)
            if name != "close":  # a close that fails leaves the file open
                outcomes["files that stay open"] += n_open - n_before
            reported = None if message == "none" else message
            outcome = write_outcome(kind, path, before, reported)
            if not message.startswith(("none", *OS_ERRORS)):
                outcome = f"{name}: {message}"
            outcomes[outcome] += 1
            for one in Path(folder).iterdir():
                one.unlink()
    process.stdin.close()
    process.wait()
    log.unlink()
    return outcomes


def kill_writers(kind, folder, n):
    """Kill processes at random moments of writing. Count the outcomes."""
    path, outcomes = Path(folder, "file"), Counter()
    fork = multiprocessing.get_context("fork")
    rng = np.random.RandomState(0)
    ready = fork.Event()

    def write():
        ready.set()
        while True:
            kind.write_old(path)
            kind.write_new(path)

    n_parts = 0
    kind.write_old(path)
    for _ in range(n):
        ready.clear()
        process = fork.Process(target=write)
        process.start()
        ready.wait()
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        n_parts += len(list(path.parent.glob(".*.partial")))
        state = read_outcome(kind, path)
        whole = state in ("as before", "another")
        outcomes["whole" if whole else f"LOST: {state}"] += 1
        kind.write_old(path)
        outcomes["parts that stay"] += len(list(path.parent.glob(".*.partial")))
    outcomes["parts beside it, gone with the next write"] = n_parts
    return outcomes
