"""The semi-supervised classifier."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sk_ssvae.data.labels import encode_classes, encode_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.data.preprocessor import Preprocessor
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.data.validation import check_weights, rows_with_weight
from sk_ssvae.estimators.choices import (
    describe_model_choices,
    describe_training_choices,
)
from sk_ssvae.estimators.fit_record import record_fit
from sk_ssvae.estimators.generation import ClassGenerationMixin
from sk_ssvae.estimators.parameters import (
    COMMON_CONSTRAINTS,
    fixed_parameters,
    model_spec,
    network_factories,
    set_network_keywords,
)
from sk_ssvae.estimators.prediction import PredictionMixin, most_probable
from sk_ssvae.estimators.rows_in_memory import rows_for_fit
from sk_ssvae.estimators.teaching import (
    SoftTargets,
    TrainingData,
    choose_temperature,
    estimates_prior,
    make_soft_targets,
    needs_teacher,
)
from sk_ssvae.models import ModelSpec
from sk_ssvae.models.networks import check_hidden_sizes
from sk_ssvae.models.user_networks import ROLES
from sk_ssvae.teachers.class_priors import resolve_class_prior, resolve_class_weight
from sk_ssvae.training.adversarial_radius import resolve_adversarial
from sk_ssvae.training.batches import resolve_max_epochs
from sk_ssvae.training.checkpoint import Checkpoint
from sk_ssvae.training.communication import SINGLE_PROCESS, Communicator
from sk_ssvae.training.marginalization import resolve_bound_rows, resolve_top_k
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.objective import Objective, resolve_alpha
from sk_ssvae.training.options import ClassifierOptions
from sk_ssvae.training.progress import FitProgress
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.trainer import restored_on_error
from sk_ssvae.utils.devices import default_torch_state, resolve_device
from sk_ssvae.utils.estimator import all_or_nothing
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.sklearn_private import (
    HasMethods,
    Interval,
    MissingValues,
    StrOptions,
    fit_context,
    validate_parameters,
)
from sk_ssvae.utils.typing import (
    Array,
    EpochCount,
    LikelihoodParameter,
    Mask,
    ModelName,
)
from sk_ssvae.utils.warnings import recorded_warnings

__all__ = ["SSVAEClassifier"]

MIN_TIMED_ROWS, MAX_TIMED_ROWS = 64, 4096
"""Smallest and largest number of rows whose predictions are timed if there is a time
limit. In between it is one row out of 16."""

ClassPrior: TypeAlias = (
    Literal["auto", "uniform", "empirical", "estimate"] | Sequence[float] | Array
)
"""Values of the parameter `class_prior`."""


class SSVAEClassifier(PredictionMixin, ClassGenerationMixin):
    r"""Semi-supervised variational autoencoder as a classifier.

    For many rows and few labels. Rows with the label -1 are unlabelled; the model
    learns the distribution of the data from them. The generative model M2 of [1]_ is

    .. math::
        p(y) = \mathrm{Cat}(y; \pi), \quad p(z) = N(z; 0, I), \quad
        p(x | y, z) = \textstyle\prod_j f(x_j; h_j(y, z))

    with inference networks q(y | x), the classifier, and q(z | x, y). Training
    maximises the mean over rows of a lower bound of log p(x, y) (labelled rows) or
    log p(x) (unlabelled rows), minus `alpha` times the classification loss. The
    :doc:`user guide </model>` has the formulas; `plain` is the model of the paper.

    Parameters
    ----------
    latent_size : int, default=10
        Number of latent dimensions, the columns of `transform`. Increase it if samples
        and reconstructions lack detail.
    hidden_sizes : sequence of int, default=(128,)
        Hidden layers of the encoder, in reverse those of the decoder. Larger ones help
        with many rows of images.
    model : str or ModelSpec, default="m2"
        Generative model: "m2", "m1+m2", "sdgm", "adgm", or an object of
        `sk_ssvae.models` with its own parameters, such as ``M1M2(inner_size=50)``. Try
        the others when the density matters more than training time.
    likelihood : str or list of (str, columns), default="auto"
        p(x | y, z) of the columns: "gaussian", "bernoulli", "censored_logistic",
        "categorical", "poisson" or "negative_binomial" for all, or pairs of a name and
        columns as :class:`~sklearn.compose.ColumnTransformer` takes them. "auto" uses
        "bernoulli" if all values are 0 or 1, "censored_logistic" if all lie in [0, 1]
        and a third of them are 0 or 1, "negative_binomial" for sparse counts, else
        "gaussian"; with categorical columns it decides by column. Set it for counts.
    teacher : "pool", estimator or None, default="pool"
        Classifier that provides soft targets for the unlabelled rows, whose weight
        falls to a half over the first 35 % of training. "pool" is
        :class:`~sk_ssvae.OpinionPoolClassifier`. Any scikit-learn classifier that takes
        -1 can be used; it is cloned. None disables it, usually at a cost in accuracy.
    alpha : "auto" or float, default="auto"
        Weight of the classification loss relative to the bound, a sum over columns;
        [1]_ uses 0.1. "auto" is 30, or n / 25 for n > 750 columns that vary.
    class_prior : str or array-like of shape (n_classes,), default="auto"
        p(y). "auto": the mean of labels and soft targets, or uniform without a teacher;
        "uniform"; "empirical": shares of the labelled rows; "estimate": estimated from
        the unlabelled rows [2]_, for labels whose class shares differ from those of the
        other rows. Unless it is "auto", soft targets are adjusted to this prior.
    max_epochs : {"few", "auto", "many"} or int, default="auto"
        Passes over the unlabelled rows. "auto" is 20, fewer with more than 51,200 rows,
        but at least 250 to 500 minibatches; 30 with small steps (:doc:`/model`);
        without a teacher 60, at least 1,000 minibatches. "few" is a quarter of it, and
        "many" three times as many unless rows are few (:doc:`/accuracy`).
    batch_size : int, default=128
        Rows per minibatch. Labelled rows are added until they are a quarter of it.
        Increase it on a GPU.
    learning_rate : float, default=3e-3
        Step size of Adam. Decrease it if training diverges. With a teacher, it is
        multiplied by a schedule that falls to zero (:doc:`/model`).
    early_stopping : bool, default=False
        Stop when the mean bound of held-out unlabelled rows no longer increases
        (`n_iter_no_change` and `tol` of `options`), and restore the best weights. Use
        it when the density matters; it may stop before the classifier is at its best.
    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`. Change it if -1 is a class, or labels are
        missing values; None, NaN and NA stand for all missing values.
    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:N" or "mps"; "auto" is the first of CUDA, MPS and CPU that
        is available.
    random_state : int, RandomState instance or None, default=None
        Fixes weights, minibatches, noise, samples, and every ``random_state=None`` of
        the teacher. Pass an int for reproducible results.
    verbose : int, default=0
        1 prints a line per view of the teacher, and a table with one line per epoch:
        loss, bound, accuracy of held-out labels, elapsed and remaining time.

    Other Parameters
    ----------------
    classifier_hidden_sizes : sequence of int or None, default=(200, 200)
        Hidden layers of the classifier. None uses `hidden_sizes`.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of categories: a mask, positions or names. "from_dtype" uses strings and
        categorical dtypes of data frames. Set it for category codes in arrays.
        Categories that are not in `fit` count as missing, with a warning, and so do
        words such as "?" among numbers (:doc:`user guide </columns>`).
    temperature : {"auto", "cross-fit"} or float, default="auto"
        T of `predict_proba`, which is q(y | x) to the power 1 / T, normalised [3]_.
        "auto" is 1.6 with a teacher, else 1. "cross-fit" fits it to labels hidden in
        three folds, which takes four times as long: for probabilities that matter.
    marginalization : {"auto", "exact"} or int, default="auto"
        Sum over classes in the bound of unlabelled rows. An int k sums the k most
        probable classes, and one sampled class represents the others without bias
        [4]_. "auto" is 8 from 20 classes on, else "exact". Decrease it for speed with
        many classes.
    validation_fraction : "auto" or float, default="auto"
        Share of the unlabelled rows that is held out for the bound (``"valid_loss"``
        of skorch's callbacks); "auto" is 0.1 with `early_stopping`, else 0. Labels are
        held out by `labeled_validation_fraction` of `options`.
    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback; see the :doc:`user guide
        </callbacks>`. They can monitor entries of ``history_``, and score the labelled
        rows. Set scikit-learn's callbacks by `set_callbacks`.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, 1 by default. The weight of its class multiplies the
        `sample_weight` of each labelled row. "balanced" are weights proportional to the
        inverse frequencies of the labels. The teacher is fitted without weights; its
        soft targets are multiplied by them in the loss. Use it for rare classes.
    checkpoint : str or path-like, default=None
        File with the state of training, from which the same `fit` resumes with
        bit-identical results if the process ends. Needs safetensors.
    warm_start : bool, default=False
        Whether `fit` continues training of the fitted model. Use it to add epochs.
    classifier_module, encoder_module, decoder_module : callable, default=None
        A user-supplied network in the place of a built-in one: a class or factory
        ``f(in_features, out_features, **kwargs)`` that returns a `torch.nn.Module`. Use
        them for images and sequences; see the :doc:`user guide </networks>`.
    options : ClassifierOptions, default=None
        Rarely changed settings: weights of further terms of the loss, tolerances, a
        time limit, threads (`sk_ssvae.training.ClassifierOptions`).
    **module_parameters : dict
        Keyword arguments of user-supplied networks, e.g.
        ``classifier_module__channels=16``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, without -1.
    class_prior_ : ndarray of shape (n_classes,)
        p(y).
    likelihood_ : str or list of (str, list)
        The likelihood in use; pairs of names and columns if there are several.
    temperature_ : float
        T of `predict_proba`.
    log_prior_shift_ : ndarray of shape (n_classes,) or None
        Added to log-probabilities with ``class_prior="estimate"`` and no teacher.
    transduction_ : ndarray of shape (n_samples,)
        Label or predicted class of each row of the last `fit`; computed when accessed.
    label_distributions_ : ndarray of float32 of shape (n_samples, n_classes)
        Probabilities of the same rows; one-hot for labelled rows.
    choices_ : dict of str to str
        Automatic choices of `fit`, with reasons, by name of the parameter.
    fit_record_ : dict
        What `summary` shows of the last `fit` besides the other attributes.
    fit_time_ : float
        Time of the last `fit` in seconds.
    validation_bound_ : float or None
        Mean bound of held-out rows in nats, for the weights that were kept; in
        standardised units with the Gaussian likelihood, unlike `score_samples`.
    n_features_in_ : int
        Number of columns seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if all are strings.
    n_iter_ : int
        Number of epochs of training.
    history_ : skorch.history.History
        One entry per epoch: ``train_loss``, ``bound`` (mean over all rows, in nats),
        ``classification``, ``teacher``, ``reconstruction``, ``kl`` and others.
    preprocessor_ : Preprocessor
        Fitted conversion of rows to cells and back.
    fixed_parameters_ : dict
        Parameters that cannot change while training continues.
    module_ : VAEModule
        The networks, a `torch.nn.Module`.
    net_ : skorch.NeuralNet
        The net that trains them.
    device_ : torch.device
        Device of the networks.

    See Also
    --------
    VariationalAutoencoder : The autoencoder without classes.
    OpinionPoolClassifier : The default teacher.
    sklearn.semi_supervised.LabelSpreading : Label spreading on a graph of the rows.

    Notes
    -----
    The model leaves out columns that are constant in `fit`, and `sample` returns them
    unchanged. User-supplied networks have inputs and outputs for them.

    References
    ----------
    .. [1] D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling. Semi-supervised
       learning with deep generative models. NIPS 2014. arXiv:1406.5298.
    .. [2] M. Saerens, P. Latinne and C. Decaestecker. Adjusting the outputs of a
       classifier to new a priori probabilities. Neural Computation 14, 2002.
    .. [3] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger. On calibration of modern
       neural networks. ICML 2017. arXiv:1706.04599.
    .. [4] R. Liu, J. Regier, N. Tripuraneni, M. I. Jordan and J. McAuliffe.
       Rao-Blackwellized stochastic gradients for discrete distributions. ICML 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import SSVAEClassifier
    >>> from sk_ssvae.model_selection import mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, n_per_class=5, random_state=0)  # -1 for the other rows
    >>> clf = SSVAEClassifier(latent_size=2, max_epochs=50, random_state=0)
    >>> bool(clf.fit(X, few).score(X, y) > 0.8)
    True
    >>> clf.transform(X).shape
    (150, 2)
    """

    choices_: dict[str, str]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **COMMON_CONSTRAINTS,
        "classifier_hidden_sizes": ["array-like", None],
        "model": [str, ModelSpec],
        "teacher": [
            None,
            StrOptions({"pool"}),
            HasMethods(["fit", "predict", "get_params"]),
        ],
        "class_prior": [
            StrOptions({"auto", "uniform", "empirical", "estimate"}),
            "array-like",
        ],
        "temperature": [
            StrOptions({"auto", "cross-fit"}),
            Interval(Real, 0.01, 100, closed="both"),
        ],
        "unlabeled": [MissingValues()],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "marginalization": [
            StrOptions({"auto", "exact"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "classifier_module": [callable, None],
        "options": [ClassifierOptions, None],
    }

    # Misspelt parameters are errors for type checkers; keyword arguments of a network
    # are only allowed next to a network.
    @overload
    def __init__(
        self,
        latent_size: int = 10,
        *,
        hidden_sizes: Sequence[int] = (128,),
        classifier_hidden_sizes: Sequence[int] | None = (200, 200),
        model: ModelName | ModelSpec = "m2",
        likelihood: LikelihoodParameter = "auto",
        categorical_features: Any = "from_dtype",
        teacher: BaseEstimator | Literal["pool"] | None = "pool",
        class_prior: ClassPrior = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        temperature: Literal["auto", "cross-fit"] | float = "auto",
        unlabeled: Any = UNLABELED,
        alpha: Literal["auto"] | float = "auto",
        max_epochs: EpochCount = "auto",
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        marginalization: Literal["auto", "exact"] | int = "auto",
        early_stopping: bool = False,
        validation_fraction: Literal["auto"] | float = "auto",
        device: str | torch.device = "auto",
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        warm_start: bool = False,
        classifier_module: Callable[..., nn.Module] | None = None,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
        options: ClassifierOptions | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        latent_size: int = 10,
        *,
        classifier_module: Callable[..., nn.Module],
        **parameters: Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        latent_size: int = 10,
        *,
        encoder_module: Callable[..., nn.Module],
        **parameters: Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        latent_size: int = 10,
        *,
        decoder_module: Callable[..., nn.Module],
        **parameters: Any,
    ) -> None: ...

    def __init__(
        self,
        latent_size: int = 10,
        *,
        hidden_sizes: Sequence[int] = (128,),
        classifier_hidden_sizes: Sequence[int] | None = (200, 200),
        model: ModelName | ModelSpec = "m2",
        likelihood: LikelihoodParameter = "auto",
        categorical_features: Any = "from_dtype",
        teacher: BaseEstimator | Literal["pool"] | None = "pool",
        class_prior: ClassPrior = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        temperature: Literal["auto", "cross-fit"] | float = "auto",
        unlabeled: Any = UNLABELED,
        alpha: Literal["auto"] | float = "auto",
        max_epochs: EpochCount = "auto",
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        marginalization: Literal["auto", "exact"] | int = "auto",
        early_stopping: bool = False,
        validation_fraction: Literal["auto"] | float = "auto",
        device: str | torch.device = "auto",
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        warm_start: bool = False,
        classifier_module: Callable[..., nn.Module] | None = None,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
        options: ClassifierOptions | None = None,
        **module_parameters: Any,
    ) -> None:
        self.latent_size = latent_size
        self.hidden_sizes = hidden_sizes
        self.classifier_hidden_sizes = classifier_hidden_sizes
        self.model = model
        self.likelihood = likelihood
        self.categorical_features = categorical_features
        self.teacher = teacher
        self.class_prior = class_prior
        self.class_weight = class_weight
        self.temperature = temperature
        self.unlabeled = unlabeled
        self.alpha = alpha
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.marginalization = marginalization
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.device = device
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.classifier_module = classifier_module
        self.encoder_module = encoder_module
        self.decoder_module = decoder_module
        self.options = options
        set_network_keywords(self, module_parameters, ClassifierOptions)

    @classmethod
    def plain(cls, **params: Any) -> Self:
        """Return the plain M2 of Kingma et al. 2014: no teacher, no further terms.

        That is ``teacher=None``, ``class_prior="uniform"``, ``alpha=0.1``, a classifier
        with the hidden layers of the encoder, neither an entropy nor an adversarial
        term, and the bound of all rows of a minibatch (section 3 of arXiv:1406.5298).

        Parameters
        ----------
        **params : dict
            Parameters, which take precedence; also nested ones:
            ``options__n_threads=1`` changes one option, ``options=`` replaces all.

        Returns
        -------
        classifier : SSVAEClassifier
            Not fitted.

        Examples
        --------
        >>> from sk_ssvae import SSVAEClassifier
        >>> SSVAEClassifier.plain(latent_size=2).alpha
        0.1
        """
        paper: dict[str, Any] = {
            "teacher": None,
            "class_prior": "uniform",
            "classifier_hidden_sizes": None,
            "alpha": 0.1,
            "options": ClassifierOptions(
                entropy_weight=0.0, adversarial_weight=0.0, bound_rows=None
            ),
        }
        prefixes = ("model__", "options__")
        nested = {k: params.pop(k) for k in [*params] if k.startswith(prefixes)}
        plain: Self = cls(**(paper | params)).set_params(**nested)
        return plain

    def _default_options(self) -> ClassifierOptions:
        return ClassifierOptions()

    def _prior_of_soft_targets(self, resume: bool) -> Any:
        """Return the parameter `class_prior`, or the prior that a model has already.

        A model that is trained further keeps its prior. With "auto" soft targets do not
        depend on it.
        """
        is_auto = isinstance(self.class_prior, str) and self.class_prior == "auto"
        return self.class_prior_ if resume and not is_auto else self.class_prior

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit the model to labelled and unlabelled rows.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Numbers, or categories in a data frame of pandas or polars or a table of
            Arrow. NaN, None and nulls are missing. At least two rows, and one column
            that varies. Memory maps, arrays of h5py, zarr and Dask, data frames of Dask
            and data sets of Arrow (Parquet) are read in blocks; see the :doc:`user
            guide </out_of_core>`.

        y : array-like of shape (n_samples,)
            Labels, with -1 for unlabelled rows: integers, or dtype object with strings
            or booleans and the integer -1. At least two classes must have labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative weights of the rows in the bounds and in the classification
            loss; only their ratios matter. A row with weight zero is ignored. The
            teacher does not use the weights.

        Returns
        -------
        self : SSVAEClassifier
            The fitted estimator. KeyboardInterrupt ends training early; the estimator
            is then fitted with the epochs completed so far.

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid, or training diverges. The estimator is
            then unchanged.
        """
        start_time = time.perf_counter()
        with (
            all_or_nothing(self),
            recorded_warnings() as warnings,
            default_torch_state(resolve_device(self.device)),
            self._connected_processes() as communicator,
        ):
            resume = self._continues()
            n_epochs_before = len(self.history_) if resume else 0
            preprocessor = self.preprocessor_ if resume else self._new_preprocessor()
            known_classes = self.classes_ if resume else None
            X = rows_for_fit(self, X)
            classes, data = self._read_training_rows(
                preprocessor, X, y, sample_weight, known_classes, reset=not resume
            )
            if resume:
                net = self._continued_net(data)
                seed = self._agreed_seed(communicator, data, net.seed, net)
                checkpoint, _ = self._open_checkpoint(data, communicator)
            else:
                seed = draw_seed(self.random_state)
                seed = self._agreed_seed(communicator, data, seed)
                checkpoint, saved_seed = self._open_checkpoint(data, communicator)
                seed = seed if saved_seed is None else saved_seed
                preprocessor.fit(data.cells, used=data.used, sample_weight=data.weight)
                self._check_networks()  # before the teacher takes its time
            held_out = self._held_out_rows(data, seed)
            # Neither the teacher nor training sees the labels that are held out.
            seen = data.without_labels(held_out)
            class_prior = self._prior_of_soft_targets(resume)
            has_teacher = needs_teacher(self.teacher, class_prior, seen)
            stages = self._stages(data, preprocessor, held_out, pretrained=resume)
            n_steps = has_teacher + (self.temperature == "cross-fit")
            metadata = {"sample_weight": sample_weight}
            with self._fit_task(
                stages, X, y, metadata, start_time, n_steps, communicator
            ) as progress:
                targets = communicator.on_main(
                    lambda: make_soft_targets(
                        self.teacher,
                        class_prior,
                        seen,
                        preprocessor,
                        classes,
                        seed,
                        progress,
                    )
                )
                if not resume:
                    net = self._initialize(seen, preprocessor, classes, targets, seed)
                self.temperature_, temperature_reason = choose_temperature(
                    self, X, seen, sample_weight, seed, progress
                )
                with restored_on_error(net):
                    rows = self._training_rows(
                        data, preprocessor, net, targets.probabilities, held_out
                    )
                    objective, adversarial_reason = communicator.broadcast(
                        self._objective(net, rows[0])
                    )
                    self._maximize_bound(
                        net,
                        data,
                        rows,
                        objective,
                        stages,
                        progress,
                        checkpoint,
                        communicator,
                    )
            self.choices_ = describe_training_choices(
                self,
                targets,
                temperature_reason,
                stages,
                len(rows[0]),
                objective,
                adversarial_reason,
            )
            self.fit_record_ = record_fit(
                data,
                stages,
                self.n_iter_ - n_epochs_before,
                warnings,
                targets,
                self.label_distributions_,
            )
            self.fit_time_ = time.perf_counter() - start_time
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on a chunk of rows.

        The loss is that of the chunk: its labelled rows together have the weight
        `alpha`, however few they are. The first call fixes the classes, the likelihood,
        and location and scale of the columns, so its chunk should be representative.
        Columns that are constant in it are kept. The teacher is not used, and
        "estimate" and "cross-fit" stand for "auto".

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            As for `fit`; at least two rows in the first call, which also fixes the
            categories and whether cells may be missing.

        y : array-like of shape (n_samples,)
            Labels, with -1 for unlabelled rows; all rows may be unlabelled.

        classes : array-like of shape (n_classes,), default=None
            All classes, without -1. Required in the first call.

        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative weights of the rows.

        Returns
        -------
        self : SSVAEClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            As for `fit`, and with ``class_weight="balanced"``; the estimator is then
            unchanged.
        """
        with (
            all_or_nothing(self),
            default_torch_state(resolve_device(self.device)),
            self._connected_processes(has_limit=False) as communicator,
        ):
            resume = self.__sklearn_is_fitted__()
            if resume:  # scikit-learn validates in the first call only
                validate_parameters(self)
            if isinstance(self.class_weight, str):
                raise ValueError(
                    "class_weight='balanced' is not supported by partial_fit, because "
                    "a chunk need not have the class frequencies of all rows. Pass the "
                    "weights: dict(zip(classes, compute_class_weight('balanced', "
                    "classes=classes, y=labels))) with sklearn.utils.class_weight."
                )
            preprocessor = self.preprocessor_ if resume else self._new_preprocessor()
            all_classes = self._partial_fit_classes(classes)
            _, data = self._read_training_rows(
                preprocessor, X, y, sample_weight, all_classes, reset=not resume
            )
            if resume:
                net = self._continued_net(data)
                self._agreed_seed(communicator, data, net.seed, net)
            else:
                seed = draw_seed(self.random_state)
                seed = self._agreed_seed(communicator, data, seed)
                preprocessor.fit(
                    data.cells,
                    used=data.used,
                    sample_weight=data.weight,
                    keep_constant=True,
                )
                # A chunk need not have rows of all classes to estimate a prior from.
                prior = "auto" if estimates_prior(self.class_prior) else None
                net = self._initialize(
                    data, preprocessor, all_classes, SoftTargets(), seed, prior
                )
                self.temperature_ = 1.0
            if not isinstance(self.temperature, str):
                self.temperature_ = float(self.temperature)
            with restored_on_error(net):
                rows = self._training_rows(data, preprocessor, net)
                objective, _ = communicator.broadcast(self._objective(net, rows[0]))
                self._maximize_bound(
                    net,
                    data,
                    rows,
                    objective,
                    [("all", 1)],
                    communicator=communicator,
                )
        return self

    def _partial_fit_classes(self, classes: npt.ArrayLike | None) -> Array:
        """Return the classes, which the first call to `partial_fit` fixes."""
        fitted = self.__sklearn_is_fitted__()
        if classes is None:
            if not fitted:
                raise ValueError(
                    "classes must be passed at the first call to partial_fit."
                )
            return self.classes_
        given = encode_classes(classes, self.unlabeled)
        if fitted and not np.array_equal(given, self.classes_):
            raise ValueError(
                f"classes={given.tolist()} differs from the classes of the fitted "
                f"model: {self.classes_.tolist()}."
            )
        return given

    def _read_training_rows(
        self,
        preprocessor: Preprocessor,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: Array | None,
        *,
        reset: bool,
    ) -> tuple[Array, TrainingData]:
        """Validate rows, labels and weights; rows of weight zero become unlabelled."""
        labels = as_label_array(y, self.unlabeled)
        cells, labels = preprocessor.read(
            self, X, labels, reset=reset, used=rows_with_weight(sample_weight)
        )
        used: Mask | None = None
        weight = None
        if sample_weight is not None:
            weight = check_weights(sample_weight, cells)
            # Only ratios matter, so that weights of any size cannot overflow.
            weight = weight / weight.max()
            used = weight > 0
            if reset and used.sum() < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least 2 rows with a positive "
                    f"sample_weight, got {used.sum()} of {cells.shape[0]}."
                )
        chosen = slice(None) if used is None else used
        classes, codes = encode_labels(
            labels[chosen],
            classes,
            owner=type(self).__name__,
            unlabeled=self.unlabeled,
            compact=True,
        )
        if used is not None:
            codes_of_used = codes
            codes = np.full(len(labels), UNLABELED, dtype=codes_of_used.dtype)
            codes[used] = codes_of_used
        class_weight = resolve_class_weight(self.class_weight, classes, codes, weight)
        if class_weight is not None:
            factor = np.append(class_weight, 1.0)[codes]  # 1 for the code -1
            weight = factor if weight is None else weight * factor
            weight = weight / weight.max()
        if weight is not None:
            weight = weight / weight[chosen].mean()
        return classes, TrainingData(cells, codes, used, weight, class_weight)

    def _classifier_sizes(self) -> tuple[int, ...]:
        """Return the sizes of the classifier's hidden layers."""
        if self.classifier_hidden_sizes is None:
            return check_hidden_sizes(self.hidden_sizes)
        return check_hidden_sizes(
            self.classifier_hidden_sizes, "classifier_hidden_sizes"
        )

    def _check_networks(self) -> None:
        """Raise errors in parameters of the networks."""
        model_spec(self)
        network_factories(self)
        check_hidden_sizes(self.hidden_sizes)
        self._classifier_sizes()

    def _initialize(
        self,
        data: TrainingData,
        preprocessor: Preprocessor,
        classes: Array,
        targets: SoftTargets,
        seed: int,
        class_prior: str | None = None,
    ) -> SSVAENet:
        """Set classes and class prior, and return an untrained net.

        `class_prior` replaces the parameter of that name.
        """
        prior = self.class_prior if class_prior is None else class_prior
        if targets.class_prior is not None:
            prior = targets.class_prior
        self.classes_ = classes
        self.class_prior_ = resolve_class_prior(
            prior, classes, data.codes, data.weight, targets.probabilities
        )
        self.log_prior_shift_ = targets.log_prior_shift
        self.preprocessor_ = preprocessor
        self.likelihood_ = preprocessor.likelihood_
        self.choices_ = describe_model_choices(self, prior, targets)
        self.fixed_parameters_ = fixed_parameters(self)
        return self._new_net(
            preprocessor, self.class_prior_, seed, self._classifier_sizes()
        )

    def _stages(
        self,
        data: TrainingData,
        preprocessor: Preprocessor,
        held_out: Mask,
        *,
        pretrained: bool,
    ) -> list[tuple[str, int]]:
        """Return names and numbers of epochs of the stages of training."""
        trained = data.used
        if held_out.any():
            trained = ~held_out if trained is None else trained & ~held_out
        n_rows = len(data.codes) if trained is None else int(trained.sum())
        has_unlabelled = data._replace(used=trained).has_unlabelled()

        def resolve_epochs(epochs: str | int) -> int:
            return resolve_max_epochs(epochs, n_rows, self.batch_size)

        max_epochs = resolve_max_epochs(
            self.max_epochs,
            n_rows,
            self.batch_size,
            # Also if all rows are labelled, so that there is nothing to teach.
            taught=self.teacher is not None,
            large_steps=has_unlabelled and self._takes_large_steps(),
        )
        return model_spec(self).stages(
            max_epochs, resolve_epochs, pretrained=pretrained
        )

    def _takes_large_steps(self) -> bool:
        """See `BaseVAE._takes_large_steps`."""
        if self.teacher is None or self._options().teacher_weight == 0:
            return False
        if any(getattr(self, role) is not None for role in ROLES):
            return False  # networks of the user
        # Early stopping may end training before the learning rates have fallen.
        return model_spec(self).takes_large_steps and not self.early_stopping

    def _objective(self, net: SSVAENet, rows: Rows) -> tuple[Objective, str]:
        """Return the loss to be minimised on these rows.

        Also the reason for its weight of adversarial training.
        """
        n_classes = len(self.classes_)
        options = self._options()
        top_k = resolve_top_k(self.marginalization, n_classes)
        n_summed = n_classes if top_k is None else top_k + 1
        adversarial = resolve_adversarial(
            options.adversarial_weight,
            options.adversarial_radius,
            net.module_,
            rows,
        )
        objective = Objective(
            alpha=resolve_alpha(self.alpha, self.preprocessor_.n_kept),
            teacher_weight=float(options.teacher_weight),
            entropy_weight=float(options.entropy_weight),
            adversarial_weight=adversarial.weight,
            adversarial_radius=adversarial.radius,
            top_k=top_k,
            bound_rows=resolve_bound_rows(
                options.bound_rows, n_summed, net.module_.likelihood.n_outputs
            ),
            large_steps=self._takes_large_steps(),
        )
        return objective, adversarial.reason

    def _maximize_bound(
        self,
        net: SSVAENet,
        data: TrainingData,
        rows: tuple[Rows, Rows | None],
        objective: Objective,
        stages: list[tuple[str, int]],
        progress: FitProgress | None = None,
        checkpoint: Checkpoint | None = None,
        communicator: Communicator = SINGLE_PROCESS,
    ) -> None:
        """Train the net, and set the fitted attributes that depend on it."""
        with self._trained(
            net,
            rows,
            stages,
            objective,
            progress,
            checkpoint,
            communicator,
            lambda: self._prediction_time(net, data.cells),
        ) as bound:
            log_proba = self._training_log_proba(net, data.cells, communicator)
        distributions = np.exp(log_proba, out=log_proba)
        if not np.isfinite(distributions.sum()):  # probabilities are at most 1
            raise ValueError(
                "Training diverged: weights are so large that probabilities are NaN. "
                f"{net.remedies}"
            )
        labelled = np.flatnonzero(data.codes != UNLABELED)
        distributions[labelled] = 0
        distributions[labelled, data.codes[labelled]] = 1
        self.validation_bound_ = bound
        self.label_distributions_ = distributions
        self.net_ = net

    @property
    def transduction_(self) -> Array:
        """Class of each row of the last `fit`: its label, or the predicted class."""
        check_is_fitted(self)
        return most_probable(self.classes_, self.label_distributions_)

    def _prediction_time(self, net: SSVAENet, cells: Any) -> float:
        """Estimate the seconds of predictions for all rows, from the last ones."""
        n_rows: int = cells.shape[0]
        n_timed = min(max(n_rows // 16, MIN_TIMED_ROWS), MAX_TIMED_ROWS, n_rows)
        if isinstance(cells, SourceCells) and not cells.source.takes_rows:
            # A block is read as a whole, for one row as for all of them.
            n_timed = max(n_timed, n_rows - int(cells.source.limits[-2]))
        net.module_.eval()
        self._class_log_proba(net, cells[:1])  # the first call takes longer
        start = time.perf_counter()
        self._class_log_proba(net, cells[n_rows - n_timed :])
        return (time.perf_counter() - start) * n_rows / n_timed

    def _training_log_proba(
        self, net: SSVAENet, cells: Any, communicator: Communicator
    ) -> Array:
        """Return log-probabilities of the training rows; each process computes some."""
        n_rows, n = cells.shape[0], communicator.world_size
        if n > 1:
            rank = communicator.rank
            start, stop = rank * n_rows // n, (rank + 1) * n_rows // n
            if isinstance(cells, SourceCells):  # a slice would be loaded as a whole
                cells = cells.subset(np.arange(start, stop))
            else:
                cells = cells[start:stop]
        parts = communicator.gather(self._class_log_proba(net, cells))
        return parts[0] if n == 1 else np.concatenate(parts)
