"""Communication between the processes that train one model, and of one alone.

All exchanges of Python objects are gatherings of one message per process. A process
that fails sends its error instead of the message that the others wait for, so that an
error in one process is an error in all of them, and none waits for an answer that never
comes.
"""

from __future__ import annotations  # there are builds without torch.distributed

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["SINGLE_PROCESS", "Communicator", "GroupCommunicator"]

T = TypeVar("T")


class Communicator:
    """Communication of a process with itself: every method returns its argument.

    Attributes
    ----------
    rank : int
        Number of this process.
    world_size : int
        Number of processes.
    """

    rank = 0
    world_size = 1

    @property
    def is_main(self) -> bool:
        """Whether this is process 0, which prints, warns and writes files."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of tensors over all processes."""
        return [*tensors]

    def sum_gradients(
        self, parameters: Sequence[Tensor], terms: Sequence[Tensor]
    ) -> list[Tensor]:
        """Replace the gradients of parameters by their sums over all processes.

        Parameters
        ----------
        parameters : sequence of Tensor
            Parameters, in the same order in all processes.
        terms : sequence of Tensor
            Further tensors, which are summed in the same operation.

        Returns
        -------
        sums : list of Tensor
            Sums of `terms`.
        """
        return [*terms]

    def start_epoch(self) -> None:
        """Prepare `sum_gradients` for an epoch."""

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        return [value]

    def any(self, value: bool) -> bool:
        """Return whether a value is true in any process."""
        return any(self.gather(value))

    def broadcast(self, value: T) -> T:
        """Return the value of process 0."""
        return value

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function in process 0 only, and return its result in all of them."""
        return function()

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of process 0."""


SINGLE_PROCESS = Communicator()
"""The communicator of training in one process."""


class GroupCommunicator(Communicator):
    """Communication of several processes by ``torch.distributed``.

    Parameters
    ----------
    control : ProcessGroup
        Group for Python objects, on the CPU. Processes wait in it while one works
        alone, so its timeout is long.
    data : ProcessGroup
        Group for tensors on the device of the model.

    Attributes
    ----------
    has_failed : bool
        Whether all processes have been told of an error.
    """

    def __init__(self, control: dist.ProcessGroup, data: dist.ProcessGroup) -> None:
        self.control = control
        self.data: dist.ProcessGroup | None = data
        self.rank = dist.get_rank(control)
        self.world_size = dist.get_world_size(control)
        self.has_failed = False
        self._with_gradient: list[bool] | None = None

    def __reduce__(self) -> tuple[type[Communicator], tuple[()]]:
        # Pickles made during training, e.g. by skorch's Checkpoint, are of one process.
        return Communicator, ()

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of tensors over all processes."""
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        dist.all_reduce(flat, group=self.data)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [
            part.view(tensor.shape).to(tensor.dtype)
            for part, tensor in zip(parts, tensors, strict=True)
        ]

    def sum_gradients(
        self, parameters: Sequence[Tensor], terms: Sequence[Tensor]
    ) -> list[Tensor]:
        """Replace the gradients of parameters by their sums over all processes.

        A network that has no rows in this process has no gradient here, but may have
        one in others.

        Raises
        ------
        ValueError
            If a parameter has a gradient, but none in the first step of the epoch in
            any process.
        """
        have = [parameter.grad is not None for parameter in parameters]
        if self._with_gradient is None:
            self._with_gradient = [
                any(some) for some in zip(*self.gather(have), strict=True)
            ]
        pairs = zip(have, self._with_gradient, strict=True)
        if any(has and not expected for has, expected in pairs):
            raise ValueError(
                "A parameter of a network has a gradient in this step, but had none in "
                "the first step of the epoch. Networks that use different parameters "
                "in different steps can only be trained with distributed=False."
            )
        trained = [
            parameter
            for parameter, expected in zip(parameters, self._with_gradient, strict=True)
            if expected
        ]
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in trained
        ]
        sums = self.sum([*terms, *gradients])
        for parameter, total in zip(trained, sums[len(terms) :], strict=True):
            parameter.grad = total
        return sums[: len(terms)]

    def start_epoch(self) -> None:
        """Let the next step determine which parameters have gradients."""
        self._with_gradient = None

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        return self._exchange(value, None)

    def _exchange(self, value: Any, error: BaseException | None) -> list[Any]:
        """Send a value or an error; return all values or raise the first error."""
        messages: list[Any] = [None] * self.world_size
        message = pickle.dumps((value, _picklable(error)))
        try:
            dist.all_gather_object(messages, message, group=self.control)
        except RuntimeError as lost:
            self.has_failed = True
            raise RuntimeError(
                "Another process of a distributed fit has ended or does not answer. "
                "This fit has failed and the estimator is unchanged. Start all "
                "processes again; with a checkpoint, fit resumes from it."
            ) from (error or lost)
        values, errors = zip(*map(pickle.loads, messages), strict=True)
        failed = [(rank, e) for rank, e in enumerate(errors) if e is not None]
        if failed:
            self.has_failed = True
            # One that has lost its connection names no cause.
            rank, first = min(failed, key=lambda f: (isinstance(f[1], _Lost), f[0]))
            if rank == self.rank and error is not None:
                return [*values]  # it is being raised
            first.add_note(f"This error was raised in process {rank}.")
            raise first
        return [*values]

    def broadcast(self, value: T) -> T:
        """Return the value of process 0."""
        return self.on_main(lambda: value)

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function in process 0 only, and return its result in all of them.

        An error that it raises is raised in all processes.
        """
        result: Any = None
        n_bytes = 0
        payload = torch.empty(0, dtype=torch.uint8, device="cpu")
        if self.is_main:
            result = function()
            data = bytearray(pickle.dumps(result))
            payload = torch.frombuffer(data, dtype=torch.uint8)
            n_bytes = len(data)
        n_bytes = self.gather(n_bytes)[0]
        if not self.is_main:
            payload = torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
        dist.broadcast(payload, group_src=0, group=self.control)
        if not self.is_main:
            result = pickle.loads(payload.numpy().tobytes())
        value: T = result
        return value

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of process 0."""
        for tensor in tensors:
            group = self.control if tensor.device.type == "cpu" else self.data
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, group_src=0, group=group)
            tensor.detach().copy_(sent)

    @contextmanager
    def shared_errors(self) -> Iterator[None]:
        """Raise an error of one process in all of them; none leaves before the others.

        Raises
        ------
        Exception
            That of the first process that failed.
        RuntimeError
            If the connection to another process is lost.
        """
        try:
            yield
        except BaseException as error:
            if not self.has_failed:
                self._exchange(None, self._aborted(error))
            raise
        else:
            self._exchange(None, None)
        finally:
            self._close_data()
            _close(self.control)

    def _aborted(self, error: BaseException) -> BaseException:
        """Close the connections in which others may wait; return what to tell them."""
        self._close_data()
        if isinstance(error, KeyboardInterrupt):
            return RuntimeError(
                f"Process {self.rank} of a distributed fit was stopped."
            )
        if isinstance(error, dist.DistBackendError) or _is_of_gloo(error):
            return _Lost(str(error))
        return error

    def _close_data(self) -> None:
        """Close the group for tensors: waiting processes get an error at once."""
        group, self.data = self.data, None
        if group is not None:
            _close(group)


def _close(group: dist.ProcessGroup) -> None:
    """Close the connections of a group."""
    with suppress(RuntimeError, ValueError):  # it may have lost them
        dist.destroy_process_group(group)


class _Lost(RuntimeError):
    """The connection to another process is lost."""


def _is_of_gloo(error: BaseException) -> bool:
    """Return whether gloo has raised an error: it has no type of its own."""
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def _picklable(error: BaseException | None) -> BaseException | None:
    """Return an error, or one with its text if it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
