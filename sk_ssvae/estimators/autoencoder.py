"""The variational autoencoder, as a transformer and a density."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.estimators.fit_record import record_fit
from sk_ssvae.estimators.generation import GenerationMixin
from sk_ssvae.estimators.parameters import (
    COMMON_CONSTRAINTS,
    fixed_parameters,
    set_network_keywords,
)
from sk_ssvae.estimators.teaching import TrainingData
from sk_ssvae.training.batches import resolve_max_epochs
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.training.trainer import restored_on_error
from sk_ssvae.utils.devices import default_torch_state, resolve_device
from sk_ssvae.utils.estimator import all_or_nothing, check_count
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.sklearn_private import fit_context
from sk_ssvae.utils.typing import EpochCount, LikelihoodParameter
from sk_ssvae.utils.warnings import recorded_warnings

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(GenerationMixin):
    r"""Variational autoencoder: latent means, samples and a bound of the density.

    The model of [1]_ is

    .. math::
        p(z) = N(z; 0, I), \quad p(x | z) = \textstyle\prod_j f(x_j; h_j(z))

    with an inference network :math:`q(z | x)`, a normal distribution. Training
    maximises the mean over rows of a lower bound of log p(x). A classifier on its
    latent means is the model M1 of [2]_:
    ``make_pipeline(VariationalAutoencoder(), SVC())``, where the autoencoder is fitted
    to all rows and the classifier to the labelled ones. Parameters under *Other
    Parameters* rarely need to be changed.

    Parameters
    ----------
    latent_size : int, default=10
        Number of latent dimensions, the columns of `transform`. Increase it if
        reconstructions lack detail.
    hidden_sizes : sequence of int, default=(128,)
        Hidden layers of the encoder, in reverse those of the decoder. Larger ones help
        with many rows of images.
    likelihood : str or list of (str, columns), default="auto"
        p(x | z) of the columns, as for :class:`SSVAEClassifier`. Set it for counts.
    max_epochs : {"few", "auto", "many"} or int, default="auto"
        Passes over the rows. "auto" is 60, or more for few rows (at least 1000
        minibatches), and "few" a quarter of that. "many" is 180, but the same as "auto"
        with few rows, where more would overfit. The weight of the KL divergence
        increases from 0 to 1 over the first 40 % of training [3]_ unless the likelihood
        learns a scale ("gaussian", "censored_logistic", "negative_binomial"), and the
        learning rate falls to zero over the last 40 %.
    batch_size : int, default=128
        Rows per minibatch. Increase it on a GPU.
    learning_rate : float, default=3e-3
        Step size of Adam. Decrease it if training diverges.
    early_stopping : bool, default=False
        Stop when the mean bound of held-out rows no longer increases
        (`n_iter_no_change` and `tol` of `options`), and restore the best weights. Use
        it against overfitting with few rows.
    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:N" or "mps"; "auto" is the first of CUDA, MPS and CPU that
        is available.
    random_state : int, RandomState instance or None, default=None
        Fixes weights, minibatches, noise and samples. Pass an int for reproducible
        results.
    verbose : int, default=0
        1 prints a table with one line per epoch: loss, bound, elapsed and remaining
        time.

    Other Parameters
    ----------------
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of categories. Set it for category codes in arrays.
    validation_fraction : "auto" or float, default="auto"
        Share of the rows that is held out for the bound; "auto" is 0.1 with
        `early_stopping`, else 0.
    callbacks : list of skorch callbacks, default=None
        Callbacks, or pairs of a name and a callback; see the :doc:`user guide
        </callbacks>`. They can monitor ``"train_loss"`` and ``"bound"``. Set
        scikit-learn's callbacks by `set_callbacks`.
    checkpoint : str or path-like, default=None
        File from which the same `fit` resumes if the process ends. For long training.
    warm_start : bool, default=False
        Whether `fit` continues training of the fitted model. Use it to add epochs.
    encoder_module, decoder_module : callable, default=None
        A user-supplied network in the place of a built-in one, as for
        :class:`SSVAEClassifier`. Use them for images and sequences.
    options : TrainingOptions, default=None
        Rarely changed settings: tolerances, a time limit, precision, threads
        (`sk_ssvae.training.TrainingOptions`).
    **module_parameters : dict
        Keyword arguments of user-supplied networks, e.g.
        ``encoder_module__channels=16``.

    Attributes
    ----------
    likelihood_ : str or list of (str, list)
        The likelihood in use; pairs of names and columns if there are several.
    validation_bound_ : float or None
        Mean bound of held-out rows in nats, for the weights that were kept; in
        standardised units with the Gaussian likelihood, unlike `score_samples`.
    fit_record_ : dict
        What `summary` shows of the last `fit` besides the other attributes.
    fit_time_ : float
        Time of the last `fit` in seconds.
    n_features_in_ : int
        Number of columns seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if all are strings.
    n_iter_ : int
        Number of epochs of training.
    history_ : skorch.history.History
        One entry per epoch: ``train_loss``, ``bound``, ``reconstruction``, ``kl``.
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
    SSVAEClassifier : The semi-supervised classifier.
    sklearn.decomposition.PCA : Linear latent means.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling. Auto-encoding variational Bayes. ICLR 2014.
       arXiv:1312.6114.
    .. [2] D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling. Semi-supervised
       learning with deep generative models. NIPS 2014. arXiv:1406.5298.
    .. [3] C. K. Sonderby, T. Raiko, L. Maaloe, S. K. Sonderby and O. Winther. Ladder
       variational autoencoders. NIPS 2016. arXiv:1602.02282.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import VariationalAutoencoder
    >>> X, _ = load_iris(return_X_y=True)
    >>> vae = VariationalAutoencoder(latent_size=2, max_epochs=20, random_state=0)
    >>> Z = vae.fit_transform(X)
    >>> Z.shape, vae.inverse_transform(Z).shape, vae.sample(3).shape
    ((150, 2), (150, 4), (3, 4))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **COMMON_CONSTRAINTS,
        "options": [TrainingOptions, None],
    }

    # Misspelt parameters are errors for type checkers; keyword arguments of a network
    # are only allowed next to a network.
    @overload
    def __init__(
        self,
        latent_size: int = 10,
        *,
        hidden_sizes: Sequence[int] = (128,),
        likelihood: LikelihoodParameter = "auto",
        categorical_features: Any = "from_dtype",
        max_epochs: EpochCount = "auto",
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        early_stopping: bool = False,
        validation_fraction: Literal["auto"] | float = "auto",
        device: str | torch.device = "auto",
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        warm_start: bool = False,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
        options: TrainingOptions | None = None,
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
        likelihood: LikelihoodParameter = "auto",
        categorical_features: Any = "from_dtype",
        max_epochs: EpochCount = "auto",
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        early_stopping: bool = False,
        validation_fraction: Literal["auto"] | float = "auto",
        device: str | torch.device = "auto",
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        warm_start: bool = False,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
        options: TrainingOptions | None = None,
        **module_parameters: Any,
    ) -> None:
        self.latent_size = latent_size
        self.hidden_sizes = hidden_sizes
        self.likelihood = likelihood
        self.categorical_features = categorical_features
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.device = device
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.encoder_module = encoder_module
        self.decoder_module = decoder_module
        self.options = options
        set_network_keywords(self, module_parameters, TrainingOptions)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Fit the model to rows.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Numbers, or categories in a data frame of pandas or polars or a table of
            Arrow. NaN, None and nulls are missing. At least two rows, and one column
            that varies. Memory maps, arrays of h5py, zarr and Dask, data frames of Dask
            and data sets of Arrow (Parquet) are read in blocks; see the :doc:`user
            guide </out_of_core>`.

        y : None
            Ignored, for compatibility with pipelines.

        Returns
        -------
        self : VariationalAutoencoder
            The fitted estimator. KeyboardInterrupt ends training early; the estimator
            is then fitted with the epochs completed so far.

        Raises
        ------
        ValueError
            If X or a parameter is invalid, or training diverges. The estimator is then
            unchanged.
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
            cells = preprocessor.read(self, X, reset=not resume)
            data = TrainingData(cells, np.full(cells.shape[0], UNLABELED, np.int8))
            if resume:
                net = self._continued_net(data)
                self._agreed_seed(communicator, data, net.seed, net)
                checkpoint, _ = self._open_checkpoint(data, communicator)
            else:
                seed = draw_seed(self.random_state)
                seed = self._agreed_seed(communicator, data, seed)
                checkpoint, saved_seed = self._open_checkpoint(data, communicator)
                seed = seed if saved_seed is None else saved_seed
                self.preprocessor_ = preprocessor.fit(cells)
                self.likelihood_ = preprocessor.likelihood_
                self.fixed_parameters_ = fixed_parameters(self)
                net = self._new_net(preprocessor, np.ones(1), seed)
            with restored_on_error(net):
                held_out = self._held_out_rows(data, net.seed)
                rows = self._training_rows(data, preprocessor, net, held_out=held_out)
                n_epochs = resolve_max_epochs(
                    self.max_epochs, len(rows[0]), self.batch_size
                )
                stages = [("all", n_epochs)]
                with (
                    self._fit_task(
                        stages, X, y, {}, start_time, communicator=communicator
                    ) as progress,
                    self._trained(
                        net,
                        rows,
                        stages,
                        Objective(),
                        progress,
                        checkpoint,
                        communicator,
                    ) as bound,
                ):
                    self.validation_bound_ = bound
                    self.net_ = net
            n_epochs = self.n_iter_ - n_epochs_before
            self.fit_record_ = record_fit(data, stages, n_epochs, warnings)
            self.fit_time_ = time.perf_counter() - start_time
        return self

    def inverse_transform(self, Z: npt.ArrayLike) -> Any:
        """Decode latent points to means of x.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_size)
            Latent points.

        Returns
        -------
        X : array or frame of shape (n_samples, n_features)
            Means of p(x | z) in the units and columns of `fit`, and the most probable
            category in columns of categories.

        Raises
        ------
        ValueError
            If `Z` does not have `latent_size` columns.
        """
        points = self._check_latent_points(Z)
        return self._decode(points, np.ones((len(points), 1)))

    def sample(self, n_samples: int = 1) -> Any:
        """Draw rows from the model, x ~ p(z) p(x | z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            Drawn rows, of the type that was passed to `fit`, with its columns, dtypes
            and categories.

        Notes
        -----
        As for :class:`~sklearn.mixture.GaussianMixture`, an integer `random_state`
        gives the same draws at every call, a RandomState instance or None new ones.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        codes = np.zeros(int(n_samples), dtype=np.int64)
        return self._sample_rows(codes, draw_seed(self.random_state))

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:
        """Return the mean of `score_samples`.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

        y : None
            Ignored.

        Returns
        -------
        bound : float
            Mean lower bound of log p(x), in nats, in the user's units.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))
