"""Saved estimators and checkpoints: damage to them, and writing that goes wrong.

    python benchmarks/reliability.py files

Damage: every byte of the metadata with a bit flipped, random bits, cuts, and files
with the right checksum that sk_ssvae has not written. Either there is an error that
names the file, or what is read answers as before.

Writing: every system call of it fails in turn, as strace has it, without space
(ENOSPC), from a broken disk (EIO), and without permission (EACCES); the disk is full
after so many bytes (RLIMIT_FSIZE); the process is killed. There is the old file or the
new one, whole, and what is said to have been written has been. "Old" and "new" of a
checkpoint are states of a run, from which it goes on to the same bits. Linux only, and
system calls with strace.
"""

import contextlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from measure import HERE, table, versions
from skorch.callbacks import Callback

sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
from concurrency import FEW, X, small
from damage import HOSTILE, HOSTILE_ARRAYS, HOSTILE_STATES, flipped

import sk_ssvae
from sk_ssvae.training import checkpoint as checkpoints
from sk_ssvae.utils.files import read_file, write_file

RAN = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy", "safetensors")
ERRORS = ("ENOSPC", "EIO", "EACCES")
OS_ERRORS = ("OSError", "PermissionError", "FileNotFoundError")
NOT_FILES = {"mmap", "munmap", "brk", "futex", "mprotect", "madvise", "getrandom"}
STOPPING = {"early_stopping": True, "max_epochs": 4}


class Saved:
    """Files that `save` writes, the old one and the new one."""

    name = "saved estimator"
    hostile = HOSTILE

    def __init__(self):
        self.old, self.new = (small(random_state=seed).fit(X, FEW) for seed in (0, 1))
        self.answers = [self._of(one) for one in (self.old, self.new)]

    def _of(self, clf):
        return clf.predict_proba(X).tobytes() + clf.transform(X).tobytes()

    def start(self, path):
        """Write the old file."""
        self.old.save(path)

    def write(self, path):
        """Write the new one."""
        self.new.save(path)

    def read(self, path):
        """Say which one there is, 0 or 1; ValueError where it is neither."""
        return self.answers.index(self._of(sk_ssvae.load(path)))


class End(Callback):
    """The end of the process in the second epoch, as far as training is concerned."""

    def on_epoch_end(self, net, **kwargs):
        """End."""
        if len(net.history_) == 2:
            raise ZeroDivisionError


class Checkpoints:
    """Files of a training run, which tell whether it went on to the same bits."""

    name = "checkpoint"
    hostile = HOSTILE_STATES

    def __init__(self):
        checkpoints.SHARE = np.inf  # every epoch is written
        self.answer = small(**STOPPING).fit(X, FEW).predict_proba(X).tobytes()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state")
            ended = small(checkpoint=str(path), callbacks=[End()], **STOPPING)
            with contextlib.suppress(ZeroDivisionError):
                ended.fit(X, FEW)
            self.begun = path.read_bytes()

    def start(self, path):
        """Write the file of a run that has ended too early, as a whole."""
        aside = path.parent.parent / path.name
        aside.write_bytes(self.begun)
        aside.replace(path)

    def write(self, path):
        """Go on with the run, and write epochs."""
        return small(checkpoint=str(path), **STOPPING).fit(X, FEW)

    def read(self, path):
        """Go on; ValueError if that does not give what one run has given."""
        answer = self.write(path).predict_proba(X).tobytes()
        return [self.answer].index(answer)


def outcome(files, path):
    """Say what comes of reading a file."""
    try:
        return ("as before", "another")[files.read(path)]
    except ValueError as error:
        return "clear error" if str(path) in str(error) else repr(error)
    except Exception as error:  # which is what is looked for
        return repr(error)


def damaged(files, folder, n_bits, n_cuts):
    """Damage a file in many ways, and read it."""
    path = Path(folder, "file")
    files.start(path)
    whole = path.read_bytes()
    rng = np.random.RandomState(0)
    metadata = 8 + int.from_bytes(whole[:8], "little")

    def read(data):
        path.write_bytes(data)
        return outcome(files, path)

    found = {
        "metadata, each byte": Counter(
            read(flipped(whole, 8 * i + rng.randint(8))) for i in range(metadata)
        ),
        "random bits": Counter(
            read(flipped(whole, i)) for i in rng.randint(8 * len(whole), size=n_bits)
        ),
        "cuts": Counter(
            read(whole[:n]) for n in np.linspace(0, len(whole) - 1, n_cuts).astype(int)
        ),
    }
    hostile = found["not written by sk_ssvae"] = Counter()
    path.write_bytes(whole)
    header, arrays = read_file(path)
    for change in files.hostile.values():
        changed = json.loads(json.dumps(header))
        change(changed)
        write_file(path, changed, arrays)
        hostile[outcome(files, path)] += 1
    for name, array in HOSTILE_ARRAYS.items():
        write_file(path, header, arrays | {name: array})
        hostile[outcome(files, path)] += 1
    path.unlink()
    return found


def after(files, path, before, error):
    """Say what a writer, who has told of an error or of none, has left behind."""
    rest = {one.name for one in path.parent.iterdir()} - {path.name}
    same = path.exists() and path.read_bytes() == before
    which = outcome(files, path)
    if which not in ("as before", "another"):
        return f"LOST: {which}"
    if error is None and same:
        return "LOST: it was said to be written"
    state = "old file" if same else "new file"
    parts = ["no error" if error is None else "error", state]
    return ", ".join(parts + ["beside it a part"] * bool(rest))


def too_full(files, folder, n):
    """Have disks that are full after so many bytes; partial writes, then an error."""
    path, found = Path(folder, "file"), Counter()
    files.start(path)
    before = path.read_bytes()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in np.linspace(0, len(before) - 1, n).astype(int):
        path.write_bytes(before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), most))
        error = None
        try:
            files.write(path)
        except OSError as raised:
            error = raised
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        found[after(files, path, before, error)] += 1
        path.unlink(missing_ok=True)
    return found


def worker():
    """Write when told to, and tell what came of it: what strace looks at."""
    files = {one.__name__: one for one in (Saved, Checkpoints)}[sys.argv[1]]()
    path = Path(sys.argv[2])
    files.start(path)  # all is imported
    print("ready", flush=True)
    for _ in sys.stdin:
        os.getppid()
        answer = "none"
        try:
            files.write(path)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        os.getppid()
        n_open = len(os.listdir("/proc/self/fd"))
        print(json.dumps([answer, n_open]), flush=True)


def traced(process, command, log):
    """Have the worker write once under strace; give its answer and the calls."""
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(process.pid), "-o", log, *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    strace.stderr.readline()  # attached
    process.stdin.write("go\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    strace.send_signal(signal.SIGINT)
    strace.wait()
    strace.stderr.close()
    lines = Path(log).read_text().splitlines()
    calls = [m[1] for m in (re.match(r"\d+ +(\w+)\(", line) for line in lines) if m]
    return json.loads(answer) if answer else None, calls


def failing_calls(files, folder):
    """Have each system call of writing fail, one at a time, with each error."""
    path, log = Path(folder, "file"), Path(folder, "..", f"{os.getpid()}.strace")
    kind = type(files).__name__
    process = subprocess.Popen(
        [sys.executable, "-c", "import reliability_files as r; r.worker()", kind, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=HERE,
        text=True,
    )
    process.stdout.readline()
    before = path.read_bytes()
    (_, n_open), calls = traced(process, [], log)
    found = Counter({"files that stay open": 0})
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
            (answer, n_open), _ = traced(process, ["-e", inject], log)
            if name != "close":  # which then did not happen
                found["files that stay open"] += n_open - n_before
            text = after(files, path, before, None if answer == "none" else answer)
            if not answer.startswith(("none", *OS_ERRORS)):
                text = f"{name}: {answer}"
            found[text] += 1
            for one in Path(folder).iterdir():
                one.unlink()
    process.stdin.close()
    process.wait()
    log.unlink()
    return found


def killed(files, folder, n):
    """Kill processes at random moments of writing; what is left goes afterwards."""
    path, found = Path(folder, "file"), Counter()
    fork = multiprocessing.get_context("fork")
    rng = np.random.RandomState(0)
    ready = fork.Event()

    def write():
        ready.set()
        while True:
            files.start(path)
            files.write(path)

    n_parts = 0
    files.start(path)
    for _ in range(n):
        ready.clear()
        process = fork.Process(target=write)
        process.start()
        ready.wait()
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        n_parts += len(list(path.parent.glob(".*.partial")))
        what = outcome(files, path)
        whole = what in ("as before", "another")
        found["whole" if whole else f"LOST: {what}"] += 1
        files.start(path)
        found["parts that stay"] += len(list(path.parent.glob(".*.partial")))
    found["parts beside it, gone with the next write"] = n_parts
    return found


BESIDES = ("parts ", "files that stay")
"""What is counted beside the outcomes."""

SURVIVED = ("clear error", "as before", "whole", "error, ", "no error, new file")
"""How outcomes begin of which nothing is lost."""


def add_arguments(parser):
    """Add how much is tried."""
    parser.add_argument("--bits", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--limits", type=int, default=50)
    parser.add_argument("--kills", type=int, default=40)


def run(args, found, keep):
    """Run all parts."""
    found = {"versions": versions(RAN)}
    for files in (Saved(), Checkpoints()):
        with tempfile.TemporaryDirectory() as folder:
            inner = Path(folder, "inner")
            inner.mkdir()
            parts = damaged(files, inner, args.bits, args.cuts)
            parts["disk full after some bytes"] = too_full(files, inner, args.limits)
            parts["killed"] = killed(files, inner, args.kills)
            if shutil.which("strace"):
                parts["each system call fails"] = failing_calls(files, inner)
        found[files.name] = parts
    keep(found)


def _kinds(found):
    return {name: parts for name, parts in found.items() if name != "versions"}


def report(found):
    """Print what came of it, most often first."""
    for name, parts in _kinds(found).items():
        rows = [
            [part, outcome, n]
            for part, outcomes in parts.items()
            for outcome, n in sorted(outcomes.items(), key=lambda pair: -pair[1])
        ]
        table([name, "what came of it", "times"], rows)


def totals(found):
    """Count faults of each part, and files that were lost."""
    for name, parts in _kinds(found).items():
        for part, outcomes in parts.items():
            faults = {k: n for k, n in outcomes.items() if not k.startswith(BESIDES)}
            lost = sum(n for k, n in faults.items() if not k.startswith(SURVIVED))
            yield f"{name}: {part}", sum(faults.values()), lost
