"""Process that writes a file on request, traced by `failed_writes`.

Run as ``python -m benchmarks.reliability.write_worker KIND PATH``. It writes the new
state for each line of its input, and prints the error, or "none", and the number of
open files. Calls of `getppid` mark the writing in the trace.
"""

import json
import os
import sys
from pathlib import Path

from benchmarks.reliability.file_kinds import KINDS


def serve():
    """Write on request."""
    kind, path = KINDS[sys.argv[1]](), Path(sys.argv[2])
    kind.write_old(path)  # imports everything that writing needs
    print("ready", flush=True)
    for _ in sys.stdin:
        os.getppid()
        message = "none"
        try:
            kind.write_new(path)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
        os.getppid()
        n_open = len(os.listdir("/proc/self/fd"))
        print(json.dumps([message, n_open]), flush=True)


if __name__ == "__main__":
    serve()
