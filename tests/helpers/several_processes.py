"""Start several processes that train one model, on this machine."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from sk_ssvae.training.communication import Communicator

SCRIPTS = Path(__file__).parent


def free_port():
    """Return a port on which nothing listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment():
    """Return the environment of a process with one thread, without a launcher."""
    launcher = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    env = {k: v for k, v in os.environ.items() if k not in launcher}
    root = str(SCRIPTS.parents[1])
    return env | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root}:{SCRIPTS}"}


def start_processes(n, *arguments):
    """Start Python n times, with the environment that torchrun sets."""
    launcher = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=environment()
            | launcher
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(n)
    ]


def run_processes(n, *arguments, timeout=300):
    """Run Python n times; return the outputs by rank, if all of them succeed."""
    processes = start_processes(n, *arguments)
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    assert codes == [0] * n, "\n".join(outputs)
    return outputs


class ThreadCommunicator(Communicator):
    """Communication between threads that stand for processes."""

    def __init__(self, rank, shared):
        self.rank = rank
        self.shared, self.barrier = shared
        self.world_size = len(self.shared)

    def gather(self, value):
        """Return the values of all threads."""
        self.shared[self.rank] = value
        self.barrier.wait(timeout=20)
        values = [*self.shared]
        self.barrier.wait(timeout=20)
        return values

    def sum(self, tensors):
        """Return the sums of tensors over all threads."""
        everyone = self.gather([tensor.detach().clone() for tensor in tensors])
        return [sum(parts) for parts in zip(*everyone, strict=True)]


def in_threads(function, n):
    """Call a function with a communicator in n threads; return the results."""
    shared = [None] * n, threading.Barrier(n)
    results = [None] * n

    def call(rank):
        results[rank] = function(ThreadCommunicator(rank, shared))

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
