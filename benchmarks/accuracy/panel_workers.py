"""Worker processes of the accuracy panel."""

import contextlib
import resource
import warnings
from collections import deque
from multiprocessing import connection, get_context

import numpy as np

from benchmarks.accuracy.panel_data import split
from benchmarks.accuracy.panel_methods import run_method

__all__ = ["run_cells"]

SMALLEST_PROBABILITY = 1e-6


def measure(cell):
    """Run the method of a cell and score its predictions."""
    parts = split(cell.dataset, cell.labels, cell.seed, cell.scheme, cell.rows)
    predictions = run_method(cell.method, parts, cell.seed)
    hidden, log_loss = parts.y_few < 0, None
    if predictions.proba is not None:
        true = predictions.proba[np.arange(len(parts.y_test)), parts.y_test]
        log_loss = -np.log(np.clip(true, SMALLEST_PROBABILITY, 1)).mean()
    right = (predictions.transduction == parts.y_train)[hidden]
    values = {
        "transductive": right.mean() if hidden.any() else None,
        "held_out": (predictions.predicted == parts.y_test).mean(),
        "log_loss": log_loss,
        "fit": predictions.fit_seconds,
        "predict": predictions.predict_seconds,
    }
    return {k: v if v is None else round(float(v), 4) for k, v in values.items()}


def work(pipe, memory):
    """Measure the cells received through a pipe, with a memory limit in bytes."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # Unreachable rows and missing convergence show up in the accuracy.
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError):
        while True:
            cell = pipe.recv()
            try:
                result = measure(cell)
            except Exception as error:
                message = f"{type(error).__name__}: {error}".splitlines()[0]
                result = {"error": message[:200]}
            pipe.send(result)


def run_cells(cells, jobs, memory):
    """Measure cells in worker processes, and yield each cell with its result.

    If a worker is killed, for example because memory runs out, the result of its cell
    is an error, and a new worker replaces it.

    Parameters
    ----------
    cells : list of Cell
    jobs : int
        Number of processes.
    memory : int
        Memory limit of a process, in bytes.

    Yields
    ------
    cell : Cell
    result : dict
    """
    context = get_context("spawn")
    waiting, busy = deque(cells), {}

    def start_worker():
        pipe, other = context.Pipe()
        process = context.Process(target=work, args=(other, memory), daemon=True)
        process.start()
        other.close()
        return pipe, process

    def send_next(pipe, process):
        if waiting:
            busy[pipe] = process, waiting.popleft()
            with contextlib.suppress(BrokenPipeError):  # handled when receiving
                pipe.send(busy[pipe][1])
        else:
            pipe.close()

    for _ in range(min(jobs, len(waiting))):
        send_next(*start_worker())
    while busy:
        for pipe in connection.wait(list(busy)):
            process, cell = busy.pop(pipe)
            try:
                result = pipe.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                if process.exitcode >= 0:
                    raise RuntimeError("A worker process could not start.") from None
                result = {"error": f"killed by signal {-process.exitcode}"}
                pipe.close()
                pipe, process = start_worker()
            send_next(pipe, process)
            yield cell, result
