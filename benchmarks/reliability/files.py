"""Files: damaged estimators and checkpoints, and writing that fails.

    python -m benchmarks reliability.files

Damage: each byte of the metadata with a flipped bit, random bits, truncated files, and
files with a valid checksum that sk_ssvae has not written. Either there is an error that
names the file, or the estimator that is read makes the same predictions as before.

Writing: with strace, each system call fails in turn with no space left on the device
(ENOSPC), an input/output error (EIO) and denied permission (EACCES); the disk is full
after some bytes (RLIMIT_FSIZE); the process is killed. Afterwards there is either the
old file or the new one, undamaged, and the new one unless an error was reported. Needs
Linux, and strace for the system calls.
"""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from malicious_files import MALICIOUS_ARRAYS, flip_bit

from benchmarks.common.versions import package_versions
from benchmarks.reliability.failed_writes import (
    fail_system_calls,
    fill_disk,
    kill_writers,
)
from benchmarks.reliability.file_kinds import KINDS, read_outcome
from benchmarks.reliability.report import (
    make_reliability_parser,
    print_result,
    save_result,
)
from sk_ssvae.utils.files import read_file, write_file

PACKAGES = ("sk_ssvae", "scikit-learn", "skorch", "torch", "numpy", "safetensors")


def damage_file(kind, folder, n_bits, n_cuts):
    """Damage a file in many ways, and count the outcomes of reading it."""
    path = Path(folder, "file")
    kind.write_old(path)
    content = path.read_bytes()
    rng = np.random.RandomState(0)
    metadata = 8 + int.from_bytes(content[:8], "little")

    def read(data):
        path.write_bytes(data)
        return read_outcome(kind, path)

    outcomes = {
        "metadata, each byte": Counter(
            read(flip_bit(content, 8 * i + rng.randint(8))) for i in range(metadata)
        ),
        "random bits": Counter(
            read(flip_bit(content, i))
            for i in rng.randint(8 * len(content), size=n_bits)
        ),
        "cuts": Counter(
            read(content[:n])
            for n in np.linspace(0, len(content) - 1, n_cuts).astype(int)
        ),
    }
    hostile = outcomes["not written by sk_ssvae"] = Counter()
    path.write_bytes(content)
    header, arrays = read_file(path)
    for change in kind.hostile.values():
        changed = json.loads(json.dumps(header))
        change(changed)
        write_file(path, changed, arrays)
        hostile[read_outcome(kind, path)] += 1
    for name, array in MALICIOUS_ARRAYS.items():
        write_file(path, header, arrays | {name: array})
        hostile[read_outcome(kind, path)] += 1
    path.unlink()
    return outcomes


def main(argv=None):
    """Run all parts for both kinds of files, and print the result."""
    parser = make_reliability_parser("files", __doc__)
    parser.add_argument("--bits", type=int, default=1000, help="random bits")
    parser.add_argument("--cuts", type=int, default=500, help="truncated files")
    parser.add_argument("--limits", type=int, default=50, help="full disks")
    parser.add_argument("--kills", type=int, default=40, help="killed processes")
    args = parser.parse_args(argv)
    result = {"versions": package_versions(PACKAGES)}
    for kind in (make() for make in KINDS.values()):
        with tempfile.TemporaryDirectory() as folder:
            inner = Path(folder, "inner")
            inner.mkdir()
            parts = damage_file(kind, inner, args.bits, args.cuts)
            parts["disk full after some bytes"] = fill_disk(kind, inner, args.limits)
            parts["killed"] = kill_writers(kind, inner, args.kills)
            if shutil.which("strace"):
                parts["each system call fails"] = fail_system_calls(kind, inner)
        result[kind.name] = parts
    save_result(args.out, "files", result)
    print_result("files", result)


if __name__ == "__main__":
    main()
