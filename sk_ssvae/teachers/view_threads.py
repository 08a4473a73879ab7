"""Computations of several views in parallel threads."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from joblib.parallel import get_active_backend
from sklearn import config_context, get_config

__all__ = ["ordered_results"]

T = TypeVar("T")


def ordered_results(
    tasks: Sequence[Callable[[], T]], n_jobs: int | None
) -> Generator[T, None, None]:
    """Yield the results of tasks in their order, each as soon as it is there.

    With one job, a task runs in the calling thread when its result is asked for. With
    more, tasks run in threads from the first result on. If a task fails, or the
    generator is closed, tasks that have not begun are dropped. Those that run cannot be
    interrupted: they end in the background, and hold until then what they have locked
    or limited.

    Parameters
    ----------
    tasks : sequence of callable
        Functions without arguments. They must not depend on each other.
    n_jobs : int or None
        Number of threads, as everywhere in scikit-learn.

    Yields
    ------
    result : object
        What the task returned.
    """
    n_threads = min(_number_of_threads(n_jobs), len(tasks))
    if n_threads <= 1:
        for task in tasks:
            yield task()
        return
    # Threads, since processes would copy the rows; not `sklearn.utils.parallel`, whose
    # tasks change the warning filters, and would have to wait for each other.
    executor = ThreadPoolExecutor(n_threads)
    config = get_config()
    try:
        # A context has numpy's `errstate` and the record of warnings. It cannot be
        # entered by two threads.
        futures = [
            executor.submit(copy_context().run, _call_with_config, task, config)
            for task in tasks
        ]
        for future in futures:
            yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _number_of_threads(n_jobs: int | None) -> int:
    """Return the number of threads, of which a context of processes says nothing."""
    backend, default = get_active_backend(require="sharedmem")
    n_threads: int = backend.effective_n_jobs(default if n_jobs is None else n_jobs)
    return n_threads


def _call_with_config(task: Callable[[], T], config: dict[str, object]) -> T:
    """Call a function under a configuration of scikit-learn, which each thread has."""
    with config_context(**config):
        return task()
