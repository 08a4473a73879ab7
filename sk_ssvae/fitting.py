"""From the user's rows to a trained net: what all estimators have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.callback import CallbackSupportMixin

from sk_ssvae.batches import Rows, choose_held_out
from sk_ssvae.columns import device_rows, fit_columns
from sk_ssvae.devices import resolve_device
from sk_ssvae.fitted import FittedState
from sk_ssvae.likelihoods import LIKELIHOODS
from sk_ssvae.likelihoods.choice import check_unit_interval, choose_likelihood
from sk_ssvae.models import Model
from sk_ssvae.module_parameters import ModuleParameters
from sk_ssvae.net import SSVAENet, make_net, step_work
from sk_ssvae.networks import check_hidden_sizes
from sk_ssvae.tasks import EpochTasks
from sk_ssvae.teachers import trust
from sk_ssvae.threads import intra_op_threads, threads_for
from sk_ssvae.training import train

__all__ = ["Data", "FittingMixin"]

Array = npt.NDArray[Any]


class Data(NamedTuple):
    """Rows to learn from, as given, and which of them count (None: all)."""

    X: Array
    codes: npt.NDArray[np.int64]
    used: npt.NDArray[np.bool_] | None = None
    weight: Array | None = None


def _same(now: Any, before: Any) -> bool:
    return now is before or bool(np.array_equal(now, before))


class FittingMixin(CallbackSupportMixin, ModuleParameters, FittedState):
    """Columns, networks and training of an estimator that has parameters for them."""

    latent_size: int
    hidden_sizes: tuple[int, ...]
    likelihood: str
    batch_size: int
    learning_rate: float
    validation_fraction: float
    device: str | torch.device
    precision: str
    compile: bool
    callbacks: list[Any] | None
    verbose: int

    _FIXED: ClassVar[tuple[str, ...]]
    """Parameters that a fitted model cannot change."""

    def _fixed_parameters(self) -> dict[str, Any]:
        fixed = {name: getattr(self, name) for name in self._FIXED}
        return fixed | self._module_parameters()

    def _fix_columns(self, data: Data, *, streaming: bool) -> None:
        """Choose the likelihood, and location and scale of the columns."""
        self.likelihood_ = self.likelihood
        if self.likelihood == "auto":
            self.likelihood_ = choose_likelihood(data.X, data.used)
        if self.likelihood_ == "bernoulli":
            check_unit_interval(data.X, rows=data.used)
        self._columns = fit_columns(
            data.X,
            standardize=LIKELIHOODS[self.likelihood_].standardize,
            sample_weight=data.weight,
            keep_constant=streaming,
            where=data.used,
        )

    def _new_net(
        self,
        model: type[Model],
        class_prior: npt.NDArray[np.float64],
        classifier_hidden_sizes: tuple[int, ...] = (),
        inner_size: int | None = None,
    ) -> SSVAENet:
        """Fix what training cannot change, and make an untrained net."""
        self._fixed = self._fixed_parameters()
        return make_net(
            model=model,
            n_features=self._columns.n_kept,
            class_prior=class_prior,
            latent_size=int(self.latent_size),
            hidden_sizes=check_hidden_sizes(self.hidden_sizes),
            classifier_hidden_sizes=classifier_hidden_sizes,
            likelihood=self.likelihood_,
            seed=self._seed,
            device=resolve_device(self.device),
            inner_size=inner_size,
            networks=self._networks(),
        )

    def _resume(self, data: Data) -> SSVAENet:
        """Return the net to go on with, if the parameters still describe it."""
        now = self._fixed_parameters()
        for name in {**self._fixed, **now}:
            if not _same(now.get(name), self._fixed.get(name)):
                raise ValueError(
                    f"{name} was {self._fixed.get(name)!r} when the model was made and "
                    f"cannot become {now.get(name)!r} as training goes on. Set "
                    "warm_start=False and call fit, or use a clone."
                )
        if self.likelihood_ == "bernoulli":
            check_unit_interval(data.X, rows=data.used)
        net: SSVAENet = self.net_
        if self.device != "auto" and str(resolve_device(self.device)) != net.device:
            raise ValueError(
                f"device={str(self.device)!r} cannot be chosen as training goes on: "
                f"the model is on {net.device!r}. Set warm_start=False and call fit, "
                "or use a clone."
            )
        return net

    def _rows(
        self,
        data: Data,
        net: SSVAENet,
        guess: Array | None = None,
        validation_fraction: float = 0.0,
    ) -> tuple[Rows, Rows | None]:
        """Rows to train on, with the teacher's guesses if any, and rows held out."""
        X, codes = data.X, data.codes
        which = np.arange(len(X)) if data.used is None else np.flatnonzero(data.used)
        held_out = choose_held_out(codes[which], validation_fraction, self._seed)
        parts: dict[str, Any] = {"weight": data.weight}
        if guess is not None:
            parts |= {"guess": guess, "trust": trust(guess)}
        device = torch.device(net.device)
        x, parts["encode"] = device_rows(X, self._columns, device)

        def rows(chosen: npt.NDArray[np.bool_]) -> Rows:
            return Rows(x, codes, which=which[chosen], **parts)

        return rows(~held_out), rows(held_out) if held_out.any() else None

    @contextmanager
    def _fit_task(
        self, n_epochs: int, X: Any, y: Any, metadata: dict[str, Any]
    ) -> Iterator[EpochTasks]:
        """Tell scikit-learn's callbacks of a fit, and give what tells of its epochs."""
        context = self._init_callback_context(max_subtasks=n_epochs)
        seen = {"X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(estimator=self, **seen)
        yield EpochTasks(self, context, seen, lambda net: {"net_": net.snapshot()})
        context.call_on_fit_task_end(
            estimator=self, **seen, reconstruction_attributes=dict
        )

    @contextmanager
    def _training(
        self,
        net: SSVAENet,
        rows: tuple[Rows, Rows | None],
        stages: list[tuple[str, int]],
        tasks: EpochTasks | None = None,
        *,
        top_k: int | None = None,
        **loss: Any,
    ) -> Iterator[None]:
        """Train the net, and ask it, on as many threads as that is worth."""
        work = step_work(net.module_, min(int(self.batch_size), len(rows[0])), top_k)
        with intra_op_threads(threads_for(self.n_threads, work)):
            train(
                net,
                *rows,
                stages=stages,
                # plain numbers: numpy's small integers overflow
                batch_size=int(self.batch_size),
                learning_rate=float(self.learning_rate),
                top_k=top_k,
                precision=self.precision,
                use_compiler=bool(self.compile),
                callbacks=self.callbacks,
                verbose=self.verbose,
                tasks=tasks,
                **loss,
            )
            yield
