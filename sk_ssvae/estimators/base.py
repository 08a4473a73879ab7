"""Base class of the estimators: parameters, fitting and fitted state."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import assert_all_finite, check_array, check_X_y
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.history import History
from torch import Tensor

from sk_ssvae.data.column_types import (
    check_likelihood,
    check_support,
    choose_kinds,
    likelihood_pairs,
    make_layout,
    named_columns,
)
from sk_ssvae.data.dataframes import as_rows, container_kind, masked_to_nan
from sk_ssvae.data.layout import COUNTS, MAX_COUNT, Layout
from sk_ssvae.data.scaling import (
    MAX_DEVIATIONS,
    ColumnScaling,
    RowEncoder,
    device_rows,
    fit_column_scaling,
)
from sk_ssvae.data.schema import Schema, infer_schema, resolve_categorical
from sk_ssvae.data.serialization import JSONEncoder, NotSerializableError
from sk_ssvae.data.validation import quiet_sums, readable_input_errors
from sk_ssvae.models import VAEModule
from sk_ssvae.models.network_factories import NetworkFactories, check_modules
from sk_ssvae.models.networks import check_hidden_sizes
from sk_ssvae.models.user_networks import ROLES
from sk_ssvae.teachers.soft_targets import confidence
from sk_ssvae.training.rows import Rows, choose_held_out
from sk_ssvae.training.callbacks import EpochTaskReporter
from sk_ssvae.training.checkpoint import Checkpoint, digest
from sk_ssvae.training import TrainingOptions
from sk_ssvae.training.net import SSVAENet, make_net, step_work
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.trainer import train
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.devices import resolve_device
from sk_ssvae.utils.threads import intra_op_threads, threads_for
from sk_ssvae.utils.typing import Array

__all__ = ["FittedState", "FittingMixin", "ModuleParameters", "TrainingData"]

_ITSELF = "module_parameters"


class ModuleParameters(BaseEstimator):
    """Parameters such as ``classifier_module__channels``, beside those of `__init__`.

    They are among what `get_params` gives and `set_params` takes, so that clones have
    them and searches find them.
    """

    def _is_own(self, name: str) -> bool:
        # scikit-learn expects of every name in the signature that it is stored, and
        # refused in fit at the earliest.
        role, separator, _ = name.partition("__")
        has_role = role in ROLES and hasattr(self, role)
        return (bool(separator) and has_role) or name == _ITSELF

    def _set_module_parameters(self, parameters: dict[str, Any]) -> None:
        """Store what `__init__` was given beside its own parameters."""
        for name, value in parameters.items():
            if not self._is_own(name):
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword "
                    f"argument {name!r}."
                )
            setattr(self, name, value)

    def _module_parameters(self) -> dict[str, Any]:
        found = vars(self).items()
        return {name: value for name, value in found if self._is_own(name)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, with those of networks of the user's own.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of estimators among the parameters are included.

        Returns
        -------
        params : dict
            Values by name.
        """
        own: dict[str, Any] = super().get_params(deep)
        return own | self._module_parameters()

    def set_params(self, **params: Any) -> Self:
        """Set parameters, of networks of the user's own too.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator
            This estimator.
        """
        for_modules = {k: v for k, v in params.items() if self._is_own(k)}
        super().set_params(**{k: v for k, v in params.items() if k not in for_modules})
        for name, value in for_modules.items():
            setattr(self, name, value)
        return self

    def _networks(self) -> NetworkFactories:
        """Networks as asked for; errors in the parameters."""
        if hasattr(self, _ITSELF):
            raise TypeError(
                f"{_ITSELF}={getattr(self, _ITSELF)!r} cannot be passed as one "
                "parameter. Pass each by its name, e.g. encoder_module__channels=16."
            )
        names = [role for role in ROLES if hasattr(self, role)]
        return check_modules(
            {name: getattr(self, name) for name in names}, self._module_parameters()
        )


# What scikit-learn's callback machinery keeps on an estimator while it is fitted.


class FittedState:
    """Fitted attributes, and rows of the user as the networks take them.

    Everything but the net is plain numpy; what can be derived from the net is a
    property, so that a copy or a pickle cannot disagree with itself.
    """

    n_threads: int | None
    net_: SSVAENet
    classes_: npt.NDArray[Any]
    class_prior_: npt.NDArray[np.float64]
    likelihood_: str | list[tuple[str, Any]]
    _table: Schema
    _kinds: npt.NDArray[Any]
    _columns: ColumnScaling
    _seed: int

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    @property
    def module_(self) -> VAEModule:
        """The networks."""
        module: VAEModule = self.net_.module_
        return module

    @property
    def history_(self) -> History:
        """One entry an epoch."""
        return self.net_.history_

    @property
    def n_iter_(self) -> int:
        """Number of epochs done."""
        return len(self.net_.history_)

    @property
    def device_(self) -> torch.device:
        """Where the networks are."""
        return self.module_.classes.device

    def _validated(self, X: Any) -> Any:
        """Rows from the user as an array of cells with the columns of fit.

        An array of floats, or a sparse one in rows. They may still be infinite, which
        `_encoder` refuses.
        """
        check_is_fitted(self)
        with readable_input_errors(X, numbers=self._table.is_plain):
            return self._cells(masked_to_nan(X))

    def _cells(self, X: Any) -> Any:
        if self._table.reads_plainly(X):
            # Finite or not is seen by chunks, while they are in the cache.
            return validate_data(
                self,
                X,
                reset=False,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
        X = as_rows(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return check_array(
            self._table.cells(X),
            ensure_all_finite="allow-nan",
            estimator=self,
            input_name="X",
        )

    def _threads(self, n_rows: int) -> AbstractContextManager[None]:
        """Compute answers for so many rows on as many threads as they are worth."""
        n_weights = sum(p.numel() for p in self.module_.parameters())
        return intra_op_threads(threads_for(self.n_threads, n_rows * n_weights))

    def _refuse_infinite(self, cells: Any) -> None:
        """Refuse infinite cells, in scikit-learn's words."""
        with quiet_sums():
            assert_all_finite(
                cells,
                allow_nan=True,
                estimator_name=type(self).__name__,
                input_name="X",
            )

    def _encoder(self) -> Callable[[Tensor], Tensor]:
        """Return what makes of validated rows what the networks take."""
        encode = RowEncoder(self._columns)

        def checked(rows: Tensor) -> Tensor:
            if not math.isfinite(rows.sum().item()):
                self._refuse_infinite(rows.numpy())
            return encode(rows)

        return checked


_BESIDES = frozenset(
    {"callbacks", "checkpoint", "device", "n_threads", "random_state", "verbose"}
)
"""Parameters that may change between a training run and its going on."""

VALIDATION_SHARE = 0.1
"""Of rows that are held out for early stopping, unless a share is given."""


class TrainingData(NamedTuple):
    """Cells to learn from, and which rows of them count (None: all)."""

    X: Any
    codes: npt.NDArray[np.int64]
    used: npt.NDArray[np.bool_] | None = None
    weight: Array | None = None


def _same(now: Any, before: Any) -> bool:
    if now is before:
        return True
    pairs = isinstance(now, list | tuple) and isinstance(before, list | tuple)
    if pairs and len(now) == len(before):  # of which numpy may make no array
        return all(map(_same, now, before))
    try:
        return bool(np.array_equal(now, before))
    except ValueError:
        return False


class FittingMixin(CallbackSupportMixin, ModuleParameters, FittedState):
    """Columns, networks and training of an estimator that has parameters for them."""

    latent_size: int
    hidden_sizes: tuple[int, ...]
    likelihood: str | list[tuple[str, Any]]
    categorical_features: Any
    batch_size: int
    learning_rate: float
    early_stopping: bool
    validation_fraction: str | float
    n_iter_no_change: int
    checkpoint: str | os.PathLike[str] | None
    warm_start: bool
    tol: float
    device: str | torch.device
    precision: str
    compile: bool
    max_grad_norm: float | None
    callbacks: list[Any] | None
    verbose: int

    _layout: Layout
    _named_kinds: Array

    _FIXED: ClassVar[tuple[str, ...]]
    """Parameters that a fitted model cannot change."""

    def _fixed_parameters(self) -> dict[str, Any]:
        fixed = {name: getattr(self, name) for name in self._FIXED}
        return fixed | self._module_parameters()

    def _read(
        self, X: Any, *y: Any, first: bool, used: npt.NDArray[np.bool_] | None = None
    ) -> Any:
        """Check rows of a user, and make them cells; labels, if any, as they are."""
        numbers = not self._names_categories() if first else self._table.is_plain
        with readable_input_errors(X, numbers=numbers):
            return self._read_cells(masked_to_nan(X), *y, first=first, used=used)

    def _read_cells(
        self, X: Any, *y: Any, first: bool, used: npt.NDArray[np.bool_] | None
    ) -> Any:
        checks: dict[str, Any] = {
            "accept_sparse": "csr",
            "dtype": [np.float64, np.float32],
            "ensure_all_finite": "allow-nan",
            "ensure_min_samples": 2 if first else 1,
        }
        if first:
            check_likelihood(self.likelihood)
        table = self._new_table(X, used) if first else self._table
        if table is None or table.reads_plainly(X):
            checked = validate_data(self, X, *y, reset=first, **checks)
        else:
            X = as_rows(X)
            validate_data(self, X, reset=first, skip_check_array=True)
            checks |= {"estimator": self}
            if y:
                checked = check_X_y(table.cells(X, warn=not first), *y, **checks)
            else:
                checked = check_array(
                    table.cells(X, warn=not first), input_name="X", **checks
                )
        if first:
            n_features = self.n_features_in_
            kind = "sparse" if container_kind(X) == "sparse" else "array"
            self._table = table or Schema(
                kind, list(range(n_features)), [], (None,) * n_features
            )
            self._named_kinds = named_columns(
                self.likelihood, np.asarray(X) if isinstance(X, list) else X, n_features
            )
        return checked

    def _names_categories(self) -> bool:
        """Whether parameters say which columns hold categories."""
        given = self.likelihood
        if isinstance(given, str):
            names = [given]
        else:  # which may not be pairs at all: that is refused later
            names = [pair[0] for pair in given if isinstance(pair, tuple | list)]
        named = self.categorical_features
        from_dtype = isinstance(named, str) and named == "from_dtype"
        return "categorical" in names or not (named is None or from_dtype)

    def _new_table(self, X: Any, used: npt.NDArray[np.bool_] | None) -> Schema | None:
        """Look for categories; None where arrays can have none."""
        if container_kind(X) in ("array", "sparse") and not self._names_categories():
            return None
        if container_kind(X) == "array":
            X = np.asarray(X, dtype=object)
            if X.ndim != 2:
                return None  # which gets the usual message
        validate_data(self, X, reset=True, skip_check_array=True)
        n_features = self.n_features_in_
        named = named_columns(self.likelihood, X, n_features)
        categorical = (named == "categorical") | resolve_categorical(
            self.categorical_features,
            n_features,
            getattr(self, "feature_names_in_", None),
        )
        by_type = self.categorical_features is not None
        table = infer_schema(X, categorical, from_dtype=by_type, used=used)
        if not isinstance(self.likelihood, str):
            clash = (table.sizes > 0) & ~np.isin(named.astype(str), ("", "categorical"))
            for j in np.flatnonzero(clash):
                raise ValueError(
                    f"likelihood gives column {table.names[j]!r} to {named[j]!r}, but "
                    "it holds categories. Leave it out of likelihood, or convert it to "
                    "numbers."
                )
        return table

    def _fix_columns(self, data: TrainingData, *, streaming: bool) -> None:
        """Choose likelihoods, and location and scale of the columns."""
        table = self._table
        self._kinds = choose_kinds(
            data.X, self._named_kinds, table.sizes > 0, data.used
        )
        self.likelihood_ = likelihood_pairs(self._kinds, table.names)
        check_support(data.X, self._kinds, rows=data.used)
        self._columns = fit_column_scaling(
            data.X,
            standardize=self._kinds == "gaussian",
            sample_weight=data.weight,
            keep_constant=streaming,
            where=data.used,
            names=table.names,
            limit=MAX_COUNT
            if np.isin(self._kinds.astype(str), COUNTS).any()
            else MAX_DEVIATIONS,
        )
        self._layout = make_layout(
            data.X,
            self._kinds,
            table.sizes,
            self._columns,
            data.used,
            data.weight,
        )

    def _new_net(
        self,
        model: type[VAEModule],
        class_prior: npt.NDArray[np.float64],
        classifier_hidden_sizes: tuple[int, ...] = (),
        inner_size: int | None = None,
    ) -> SSVAENet:
        """Fix what training cannot change, and make an untrained net."""
        self._fixed = self._fixed_parameters()
        return make_net(
            module_class=model,
            n_features=self._columns.n_kept,
            class_prior=class_prior,
            latent_size=int(self.latent_size),
            hidden_sizes=check_hidden_sizes(self.hidden_sizes),
            classifier_hidden_sizes=classifier_hidden_sizes,
            likelihood=self._layout,
            seed=self._seed,
            device=resolve_device(self.device),
            module_options={"inner_size": inner_size},
            networks=self._networks(),
        )

    def _resume(self, data: TrainingData) -> SSVAENet:
        """Return the net to go on with, if the parameters still describe it."""
        now = self._fixed_parameters()
        for name in {**self._fixed, **now}:
            if not _same(now.get(name), self._fixed.get(name)):
                raise ValueError(
                    f"{name} was {self._fixed.get(name)!r} when the model was made and "
                    f"cannot become {now.get(name)!r} as training goes on. Set "
                    "warm_start=False and call fit, or use a clone."
                )
        check_support(data.X, self._kinds, rows=data.used)
        net: SSVAENet = self.net_
        if not net.module_.inputs.has_gaps and any(
            np.isnan(part[:, self._columns.kept]).any()
            for _, part in iter_row_chunks(data.X, data.used)
        ):
            raise ValueError(
                "X has missing values, or categories that are not known, but the rows "
                "that the model was first trained on had none, so that its networks "
                "are not made for them. Use a clone, and rows with missing values at "
                "its first call."
            )
        if self.device != "auto" and str(resolve_device(self.device)) != net.device:
            raise ValueError(
                f"device={str(self.device)!r} cannot be chosen as training goes on: "
                f"the model is on {net.device!r}. Set warm_start=False and call fit, "
                "or use a clone."
            )
        return net

    def _rows(
        self,
        data: TrainingData,
        net: SSVAENet,
        guess: Array | None = None,
        validation_fraction: float = 0.0,
    ) -> tuple[Rows, Rows | None]:
        """Rows to train on, with the teacher's guesses if any, and rows held out."""
        X, codes = data.X, data.codes
        which = (
            np.arange(X.shape[0]) if data.used is None else np.flatnonzero(data.used)
        )
        held_out = choose_held_out(codes[which], validation_fraction, self._seed)
        parts: dict[str, Any] = {"weight": data.weight}
        if guess is not None:
            parts |= {"soft_targets": guess, "confidence": confidence(guess)}
        device = torch.device(net.device)
        x, parts["encode"] = device_rows(X, self._columns, device)

        def rows(chosen: npt.NDArray[np.bool_]) -> Rows:
            return Rows(x, codes, which=which[chosen], **parts)

        return rows(~held_out), rows(held_out) if held_out.any() else None

    def _checkpoint(self, data: TrainingData) -> Checkpoint | None:
        """Open the file that training is kept in, and take its seed if it is there."""
        if self.checkpoint is None:
            return None
        encode = JSONEncoder()
        made_from: dict[str, Any] = {"estimator": type(self).__name__}
        for name, value in self.get_params(deep=False).items():
            if name not in _BESIDES:
                try:
                    made_from[name] = encode(value)
                except NotSerializableError:
                    made_from[name] = repr(value)
        before = len(self.net_.history_) if self._goes_on() else 0
        made_from |= {
            "epochs before": before,
            "X": digest(data.X),
            "y": digest(data.codes),
            "sample_weight": digest(data.weight),
        }
        for name, array in encode.arrays.items():  # of parameters
            made_from[name] = digest(array)
        checkpoint = Checkpoint(self.checkpoint, made_from)
        seed = checkpoint.read()
        if seed is not None:
            self._seed = seed
        return checkpoint

    def _goes_on(self) -> bool:
        """Whether `fit` trains the fitted model further."""
        return self.warm_start and self.__sklearn_is_fitted__()

    def _validation_share(self) -> float:
        """Share of the unlabelled rows that are held out in `fit`.

        Raises
        ------
        ValueError
            If there are none, and training is to be stopped by them.
        """
        if isinstance(self.validation_fraction, str):  # "auto"
            return VALIDATION_SHARE if self.early_stopping else 0.0
        if self.early_stopping and self.validation_fraction == 0:
            raise ValueError(
                "early_stopping=True needs rows that are held out, but "
                f"validation_fraction={self.validation_fraction}. Set it to 'auto' or "
                "a share such as 0.1."
            )
        return float(self.validation_fraction)

    @contextmanager
    def _fit_task(
        self, n_epochs: int, X: Any, y: Any, metadata: dict[str, Any]
    ) -> Iterator[EpochTaskReporter]:
        """Tell scikit-learn's callbacks of a fit, and give what tells of its epochs."""
        context = self._init_callback_context(max_subtasks=n_epochs)
        seen = {"X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(estimator=self, **seen)
        yield EpochTaskReporter(
            self, context, seen, lambda net: {"net_": net.snapshot()}
        )
        context.call_on_fit_task_end(
            estimator=self, **seen, reconstruction_attributes=dict
        )

    @contextmanager
    def _training(
        self,
        net: SSVAENet,
        rows: tuple[Rows, Rows | None],
        stages: list[tuple[str, int]],
        tasks: EpochTaskReporter | None = None,
        *,
        objective: Objective = Objective(),  # noqa: B008
        checkpoint: Checkpoint | None = None,
    ) -> Iterator[None]:
        """Train the net, and ask it, on as many threads as that is worth."""
        work = step_work(net.module_, min(int(self.batch_size), len(rows[0])), objective.top_k)
        with intra_op_threads(threads_for(self.n_threads, work)):
            self.validation_bound_ = train(
                net,
                *rows,
                stages=stages,
                # plain numbers: numpy's small integers overflow
                batch_size=int(self.batch_size),
                learning_rate=float(self.learning_rate),
                objective=objective,
                options=TrainingOptions(
                    n_iter_no_change=self.n_iter_no_change,
                    tol=self.tol,
                    max_grad_norm=self.max_grad_norm,
                    precision=self.precision,
                    compile=self.compile,
                ),
                callbacks=self.callbacks,
                verbose=self.verbose,
                epoch_tasks=tasks,
                early_stopping=bool(self.early_stopping),
                checkpoint=checkpoint,
            )
            yield
