"""Base class of the estimators: parameters, fitted state, and steps of fitting."""

from __future__ import annotations

import copyreg
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    is_classifier,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from sk_ssvae.data.missing import MissingCells
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.estimators import saving
from sk_ssvae.estimators.fit_record import summarize
from sk_ssvae.estimators.nested_parameters import (
    CALLBACKS,
    callback_parameters,
    check_callback_parameters,
    check_nested,
    set_callback_parameters,
)
from sk_ssvae.estimators.parameters import (
    check_not_options,
    check_unchanged,
    expand_nested,
    fixed_parameters,
    is_network_keyword,
    model_spec,
    network_factories,
    network_keywords,
    replace_network_keywords,
)
from sk_ssvae.estimators.run_identity import describe_fit, run_parameters
from sk_ssvae.estimators.summary import FitSummary
from sk_ssvae.estimators.teaching import TrainingData
from sk_ssvae.models import VAEModule, inference
from sk_ssvae.models.networks import check_hidden_sizes
from sk_ssvae.teachers.soft_targets import confidence
from sk_ssvae.training.callbacks import check_callbacks, named_callbacks
from sk_ssvae.training.checkpoint import Checkpoint, digest
from sk_ssvae.training.communication import SINGLE_PROCESS, Communicator
from sk_ssvae.training.distributed import check_same, connected_processes
from sk_ssvae.training.learning_rates import (
    LARGE_STEPS,
    LARGE_STEPS_MANY_COLUMNS,
    MANY_COLUMNS,
)
from sk_ssvae.training.monitors import HeldOut, check_monitors
from sk_ssvae.training.net import SSVAENet, make_net, step_work
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.training.progress import FitProgress
from sk_ssvae.training.rows import Rows, choose_held_out
from sk_ssvae.training.trainer import train
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.devices import resolve_device
from sk_ssvae.utils.estimator import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sk_ssvae.utils.random import RandomState
from sk_ssvae.utils.sklearn_private import init_callback_context, validate_parameters
from sk_ssvae.utils.threads import intra_op_threads, threads_for
from sk_ssvae.utils.typing import Array, FloatArray, LikelihoodParameter, Mask

__all__ = ["BaseVAE"]

VALIDATION_FRACTION = 0.1
"""Share of the rows that is held out for early stopping by default."""


class BaseVAE(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Parameters, fitted state and steps of fitting that all estimators share.

    `fit` of a subclass reads the rows with a `Preprocessor` and then calls the steps in
    this order: `_open_checkpoint`, `_new_net` or `_continued_net`, `_training_rows`,
    `_trained`. Every value that a step needs is an argument.
    """

    latent_size: int
    hidden_sizes: Sequence[int]
    likelihood: LikelihoodParameter
    categorical_features: Any
    batch_size: int
    learning_rate: float
    early_stopping: bool
    validation_fraction: str | float
    device: str | torch.device
    callbacks: list[Any] | None
    checkpoint: str | os.PathLike[str] | None
    random_state: RandomState
    verbose: int
    warm_start: bool
    options: TrainingOptions | None

    net_: SSVAENet
    preprocessor_: Preprocessor
    likelihood_: str | list[tuple[str, Any]]
    fixed_parameters_: dict[str, Any]
    validation_bound_: float | None
    fit_record_: dict[str, Any]
    fit_time_: float
    classes_: Array
    class_prior_: npt.NDArray[np.float64]

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    # Parameters.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including those of user-supplied networks.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of nested objects are included, also those of callbacks:
            ``callbacks__name__patience``.

        Returns
        -------
        params : dict
            Values by name.
        """
        own: dict[str, Any] = super().get_params(deep)
        if deep:
            own |= callback_parameters(self.callbacks)
        return own | network_keywords(self)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including those of nested objects and user networks.

        Parameters
        ----------
        **params : dict
            Values by name: ``latent_size``, ``model__inner_size``, ``options__tol``,
            ``encoder_module__channels``, ``callbacks__name__patience`` and so on. A
            model that is given by its name, and ``options=None``, are replaced by their
            objects if nested parameters are set. Callbacks are named as in skorch, by a
            pair in `callbacks` or by their class; ``callbacks__name=None`` disables
            one. A network that is set to None loses its keyword arguments.

        Returns
        -------
        self : estimator
            This estimator.

        Raises
        ------
        ValueError
            If a name is unknown, or a keyword argument belongs to a network that is
            None. No parameter is then changed.
        """
        keywords = {k: v for k, v in params.items() if is_network_keyword(self, k)}
        others = {k: v for k, v in params.items() if k not in keywords}
        nested = {k: v for k, v in others.items() if "__" in k}
        of_callbacks = {k: nested.pop(k) for k in [*nested] if k.startswith(CALLBACKS)}
        plain = {k: v for k, v in others.items() if "__" not in k}
        before = self.__dict__.copy()
        try:
            check_not_options(self, plain, self._default_options())
            super().set_params(**plain)
            expand_nested(self, nested, {"options": self._default_options})
            check_nested(self, nested)
            # Callbacks and teachers are changed in place, which cannot be undone.
            check_callback_parameters(self, of_callbacks)
            super().set_params(**nested)
            replace_network_keywords(self, others, keywords)
            set_callback_parameters(self, of_callbacks)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _default_options(self) -> TrainingOptions:
        """Return what ``options=None`` stands for."""
        return TrainingOptions()

    def _options(self) -> TrainingOptions:
        """Return the options.

        Raises
        ------
        TypeError
            If they are of another type.
        """
        default = self._default_options()
        if self.options is None:
            return default
        if not isinstance(self.options, type(default)):
            raise TypeError(
                f"options must be {type(default).__name__} or None, got "
                f"{self.options!r} of type {type(self.options).__name__}."
            )
        return self.options

    def _validate_params(self) -> None:
        """Validate the parameters, those of model and options included.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid, or the options have settings of another
            estimator.
        """
        super()._validate_params()
        model_spec(self)
        network_factories(self)
        options = self._options()
        allowed = self._default_options().get_params()
        unknown = sorted(set(options.get_params()) - set(allowed))
        if unknown:
            raise TypeError(
                f"The 'options' parameter of {type(self).__name__} must be "
                f"{type(self._default_options()).__name__}, got {options!r}, which "
                f"has settings that do not apply: {unknown}."
            )
        validate_parameters(options)

    # Fitted state.

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.module_.latent_size)

    @property
    def module_(self) -> VAEModule:
        """The networks."""
        check_is_fitted(self)
        module: VAEModule = self.net_.module_
        return module

    @property
    def history_(self) -> History:
        """One entry per epoch."""
        check_is_fitted(self)
        return self.net_.history_

    @property
    def n_iter_(self) -> int:
        """Number of epochs of training."""
        return len(self.history_)

    @property
    def device_(self) -> torch.device:
        """The device of the networks."""
        return self.module_.classes.device

    def summary(self) -> FitSummary:
        """Return what the fitted estimator consists of, and how it was trained.

        The text of the summary shows rows, columns and their likelihood, what `fit`
        chose, and how training ended; its attributes hold all values.

        Returns
        -------
        summary : FitSummary
            Attributes are listed in `sk_ssvae.estimators.summary.FitSummary`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sk_ssvae import VariationalAutoencoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoencoder(2, max_epochs=3, random_state=0).fit(X)
        >>> summary = vae.summary()
        >>> summary.n_samples, summary.n_epochs, [*summary.likelihood]
        (150, 3, ['gaussian'])
        >>> print(summary)  # doctest: +ELLIPSIS
        VariationalAutoencoder
        rows            150
        columns         4, in several units
        likelihood      gaussian
        epochs          3 of 3
        loss, bound     ...
        fit time        ... s on ...
        """
        check_is_fitted(self)
        return summarize(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that runs no code when it is loaded.

        The file holds weights as safetensors and everything else as JSON, with a
        checksum of both. It is written atomically.

        Parameters
        ----------
        path : str or path-like
            The file. An existing file is replaced.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        OSError
            If the file cannot be written. An existing file is then unchanged.
        ImportError
            If safetensors is not installed: ``pip install "sk_ssvae[files]"``.

        Warns
        -----
        UserWarning
            If parameters cannot be written: an estimator as `teacher`, callbacks,
            functions. The loaded estimator has their defaults. It makes the same
            predictions; only further training would differ. User-supplied networks
            have to be passed to `sk_ssvae.load`.

        See Also
        --------
        sk_ssvae.load : Read the file.
        """
        check_is_fitted(self)
        saving.save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        # Libraries such as skops call this and get plain types; pickle and copy call
        # `__reduce_ex__` first and get the objects themselves.
        if not self.__sklearn_is_fitted__():
            state: dict[str, Any] = super().__getstate__()
            return state
        return saving.plain_state(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if saving.is_plain_state(state):
            self.__dict__.update(vars(saving.from_plain_state(type(self), state)))
        else:  # pickles of earlier versions may have what is computed now
            computed = saving.COMPUTED_ATTRIBUTES
            kept = {name: v for name, v in state.items() if name not in computed}
            super().__setstate__(kept)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Stubs of the standard library do not have the function.
        return copyreg.__newobj__, (type(self),), super().__getstate__()  # type: ignore[attr-defined]

    # Rows of the user.

    def _read(self, X: Any) -> Any:
        """Return validated rows as cells. Infinite ones are found by `_row_encoder`."""
        check_is_fitted(self)
        return self.preprocessor_.read(self, X, ensure_finite=False)

    def _row_encoder(self) -> inference.Encode:
        """Return the function from cells to what the networks take."""
        return self.preprocessor_.row_encoder(self)

    def _threads(self, n_rows: int) -> AbstractContextManager[None]:
        """Use as many threads as predictions for `n_rows` rows are worth."""
        n_weights = sum(p.numel() for p in self.module_.parameters())
        options = self._options()
        if options.n_threads is not None:
            validate_parameters(options)
        n_threads = options.n_threads
        return intra_op_threads(threads_for(n_threads, n_rows * n_weights))

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return latent means, averaged over the classes if there are any.

        For rows with missing cells they are also averaged over draws of these cells
        from the model given the observed ones.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

        Returns
        -------
        Z : ndarray of float32 of shape (n_samples, latent_size)
            Means of q(z | x): of a classifier, sum_y q(y | x) mu(x, y).
        """
        cells, encode = self._read(X), self._row_encoder()
        module = self.module_
        missing = MissingCells(encode, self.preprocessor_.scaling.kept)
        with self._threads(cells.shape[0]):
            means = inference.latent_means(module, cells, missing.encode)
            which, _ = missing.rows()
            if len(which):
                means[which] = inference.mean_over_missing(
                    module,
                    module.filled_latent_means,
                    cells,
                    which,
                    self.net_.seed,
                    encode,
                )
        return means

    # Steps of fitting.

    @contextmanager
    def _connected_processes(self, *, has_limit: bool = True) -> Iterator[Communicator]:
        """Connect the processes that fit this estimator together.

        `has_limit` is False in `partial_fit`, which has no time limit.
        """
        options = self._options()
        validate_parameters(options)  # `partial_fit` has not done so yet
        device = resolve_device(self.device)
        with connected_processes(options.distributed, device) as communicator:
            # An error in one of several connected processes is one in all of them.
            if has_limit and options.max_time and communicator.world_size > 1:
                raise ValueError(
                    f"max_time={options.max_time!r} does not work with several "
                    "processes, whose steps take different times. Set max_time=None, "
                    "or train in one process with distributed=False."
                )
            yield communicator

    def _agreed_seed(
        self,
        communicator: Communicator,
        data: TrainingData,
        seed: int,
        net: SSVAENet | None = None,
    ) -> int:
        """Check that all processes have the same task, and return its seed.

        It is that of process 0 with ``random_state=None``. If training continues, `net`
        is the fitted one, which all processes must have.

        Raises
        ------
        ValueError
            If rows, labels, weights, parameters or fitted models differ.
        """
        options = self._options()
        check_same(communicator, lambda: describe_fit(self, options, data, seed, net))
        return communicator.broadcast(seed)

    def _continues(self) -> bool:
        """Return whether `fit` continues the training of a fitted model."""
        return self.warm_start and self.__sklearn_is_fitted__()

    def _new_preprocessor(self) -> Preprocessor:
        return Preprocessor(self.likelihood, self.categorical_features)

    def _new_net(
        self,
        preprocessor: Preprocessor,
        class_prior: npt.NDArray[np.float64],
        seed: int,
        classifier_hidden_sizes: tuple[int, ...] = (),
    ) -> SSVAENet:
        """Return a net with untrained networks."""
        spec = model_spec(self)
        return make_net(
            module_class=spec.module_class,
            n_features=preprocessor.n_kept,
            class_prior=class_prior,
            latent_size=int(self.latent_size),
            hidden_sizes=check_hidden_sizes(self.hidden_sizes),
            classifier_hidden_sizes=classifier_hidden_sizes,
            likelihood=preprocessor.layout,
            seed=seed,
            device=resolve_device(self.device),
            module_options=spec.module_options(),
            networks=network_factories(self, preprocessor),
        )

    def _continued_net(self, data: TrainingData) -> SSVAENet:
        """Return the fitted net if parameters and rows still fit it."""
        check_unchanged(self.fixed_parameters_, fixed_parameters(self))
        preprocessor, net = self.preprocessor_, self.net_
        preprocessor.check_support(data.cells, rows=data.used)
        self.preprocessor_ = preprocessor.widened(data.cells, data.used)
        kept = preprocessor.scaling.kept
        if not net.module_.inputs.has_gaps and any(
            np.isnan(part[:, kept]).any()
            for _, part in iter_row_chunks(data.cells, data.used)
        ):
            raise ValueError(
                "X has missing values or unknown categories, but the rows of the first "
                "call had none, and the networks have no inputs for them. Use a clone, "
                "and include rows with missing values in its first call."
            )
        if self.device != "auto" and str(resolve_device(self.device)) != net.device:
            raise ValueError(
                f"device={str(self.device)!r} cannot be set while training continues: "
                f"the model is on {net.device!r}. Set warm_start=False and call fit, "
                "or use a clone."
            )
        return net

    def _held_out_rows(self, data: TrainingData, seed: int) -> Mask:
        """Choose the rows that `fit` holds out, and check callbacks against them.

        Raises
        ------
        TypeError, ValueError
            If the fractions leave no row, an entry of `callbacks` is not a callback, or
            one needs rows or labels that are not held out.
        """
        labelled = getattr(self._options(), "labeled_validation_fraction", 0.0)
        used = slice(None) if data.used is None else data.used
        chosen = choose_held_out(
            data.codes[used], self._validation_share(), seed, float(labelled)
        )
        held_out = chosen
        if data.used is not None:
            held_out = np.zeros(len(data.codes), dtype=bool)
            held_out[data.used] = chosen
        check_callbacks(self.callbacks or [])
        callbacks = [
            (name, c() if isinstance(c, type) else c)
            for name, c in named_callbacks(self.callbacks)
            if c is not None
        ]
        labels = labelled > 0 if is_classifier(self) else None
        check_monitors(callbacks, HeldOut(bool(held_out.any()), labels))
        return held_out

    def _training_rows(
        self,
        data: TrainingData,
        preprocessor: Preprocessor,
        net: SSVAENet,
        soft_targets: Array | None = None,
        held_out: Mask | None = None,
    ) -> tuple[Rows, Rows | None]:
        """Return the rows to train on, and those held out (None if there are none)."""
        parts: dict[str, Any] = {"weight": data.weight}
        if soft_targets is not None:
            parts["soft_targets"] = soft_targets
            if data.class_weight is not None:
                parts["soft_targets"] = soft_targets * data.class_weight
            parts["confidence"] = confidence(soft_targets)
        device = torch.device(net.device)
        labelled = np.flatnonzero(data.codes >= 0)
        x, parts["encode"] = preprocessor.device_rows(data.cells, device, labelled)
        if held_out is None or not held_out.any():
            return Rows(x, data.codes, which=data.used, **parts), None
        trained = ~held_out if data.used is None else data.used & ~held_out
        train_rows = Rows(x, data.codes, which=trained, **parts)
        return train_rows, Rows(x, data.codes, which=held_out, **parts)

    def _validation_share(self) -> float:
        """Return the share of the unlabelled rows that is held out.

        Raises
        ------
        ValueError
            If early stopping is asked for and no rows are held out.
        """
        if isinstance(self.validation_fraction, str):  # "auto"
            return VALIDATION_FRACTION if self.early_stopping else 0.0
        if self.early_stopping and self.validation_fraction == 0:
            raise ValueError(
                "early_stopping=True needs held-out rows, but "
                f"validation_fraction={self.validation_fraction}. Set it to 'auto' or "
                "to a share such as 0.1."
            )
        return float(self.validation_fraction)

    def _takes_large_steps(self) -> bool:
        """Return whether parameters allow fewer and larger steps with soft targets."""
        return False

    def _open_checkpoint(
        self, data: TrainingData, communicator: Communicator
    ) -> tuple[Checkpoint | None, int | None]:
        """Open the checkpoint file, if there is to be one.

        Returns
        -------
        checkpoint : Checkpoint or None
        seed : int or None
            Seed of the training run in the file; None if there is no file yet.
        """
        if self.checkpoint is None:
            return None, None
        run = run_parameters(self, self._options())
        schedule = [*LARGE_STEPS, *LARGE_STEPS_MANY_COLUMNS, MANY_COLUMNS]
        run["learning rates"] = schedule if self._takes_large_steps() else None
        # The others do not use the file, and need not read all rows for the digest.
        if communicator.is_main:
            # A run that continues a fitted model continues its random streams.
            run["seed"] = self.net_.seed if self._continues() else None
            run["epochs before"] = len(self.net_.history_) if self._continues() else 0
            run["X"] = digest(data.cells)
            run["y"] = digest(data.codes.astype(np.int64))
            run["sample_weight"] = digest(data.weight)
        checkpoint = Checkpoint(self.checkpoint, run, communicator)
        return checkpoint, checkpoint.read()

    @contextmanager
    def _fit_task(
        self,
        stages: list[tuple[str, int]],
        X: Any,
        y: Any,
        metadata: dict[str, Any],
        start_time: float,
        n_steps_before: int = 0,
        communicator: Communicator = SINGLE_PROCESS,
    ) -> Iterator[FitProgress]:
        """Report a fit to scikit-learn's callbacks; yield the reporter of its steps.

        Parameters
        ----------
        stages : list of (str, int)
            The stages of training, and their numbers of epochs.
        X, y, metadata
            Arguments of `fit`, for the hooks.
        start_time : float
            Time at which `fit` began, in seconds of `time.perf_counter`.
        n_steps_before : int
            Number of steps before training.
        communicator : Communicator
            The processes; the first one prints.
        """
        n_epochs = [n for _, n in stages if n > 0]
        n_steps = n_steps_before + len(n_epochs)
        context = init_callback_context(
            self, max_subtasks=n_steps if n_steps > 1 else sum(n_epochs)
        )
        data = {"X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(estimator=self, **data)
        progress = FitProgress(
            self,
            context,
            data,
            lambda net: {"net_": net.snapshot()},
            n_steps=n_steps,
            verbose=self.verbose if communicator.is_main else 0,
            start_time=start_time,
        )
        yield progress
        progress.finish()
        context.call_on_fit_task_end(
            estimator=self, **data, reconstruction_attributes=dict
        )

    @contextmanager
    def _trained(
        self,
        net: SSVAENet,
        rows: tuple[Rows, Rows | None],
        stages: list[tuple[str, int]],
        objective: Objective,
        progress: FitProgress | None = None,
        checkpoint: Checkpoint | None = None,
        communicator: Communicator = SINGLE_PROCESS,
        time_after: Callable[[], float] = lambda: 0.0,
    ) -> Iterator[float | None]:
        """Train the net; yield the validation bound, on the same threads.

        The number of threads stays set in the body, so that predictions for the
        training rows are made on the threads that the networks are worth.
        `time_after` estimates how many seconds they will take, for a time limit.
        """
        options = self._options()
        n_rows = min(int(self.batch_size), len(rows[0]))
        work = step_work(net.module_, n_rows, objective.top_k)
        is_limited = progress is not None and options.max_time is not None
        with intra_op_threads(threads_for(options.n_threads, work)):
            yield train(
                net,
                *rows,
                stages=stages,
                objective=objective,
                # Plain Python numbers: numpy's small integers overflow.
                batch_size=int(self.batch_size),
                learning_rate=float(self.learning_rate),
                options=options,
                early_stopping=bool(self.early_stopping),
                callbacks=self.callbacks,
                verbose=self.verbose if communicator.is_main else 0,
                progress=progress,
                checkpoint=checkpoint,
                seconds_after=time_after() if is_limited else 0.0,
                communicator=communicator,
            )
