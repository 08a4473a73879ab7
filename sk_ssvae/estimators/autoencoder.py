"""The variational autoencoder alone, as a transformer and a density."""

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.estimators.base import TrainingData
from sk_ssvae.estimators.generation import DensityMixin
from sk_ssvae.estimators.saving import PlainStateMixin
from sk_ssvae.models import inference
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.training.batches import resolve_max_epochs
from sk_ssvae.training.trainer import restored_on_error
from sk_ssvae.utils.devices import default_torch_state, resolve_device
from sk_ssvae.utils.estimator import DocLinkMixin, all_or_nothing, check_count
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.threads import MOST as MOST_THREADS

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(
    DensityMixin,
    PlainStateMixin,
    DocLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Variational autoencoder: latent means, samples and a bound of the density.

    The model, of Kingma & Welling [1]_, is

    .. math::
        p(z) = N(z; 0, I), \quad p(x | z) = \textstyle\prod_j f(x_j; h_j(z))

    with an inference network :math:`q(z | x)`, a normal. What is maximised is the mean
    over rows of a lower bound of log p(x). A classifier of its latent means is the M1
    of [2]_: ``make_pipeline(VariationalAutoencoder(), SVC())``, fitted to few labels
    after the autoencoder has been fitted to many rows.

    Parameters
    ----------
    latent_size : int, default=10
        Number of latent dimensions, the columns of `transform`.

    hidden_sizes : sequence of int, default=(128,)
        Sizes of the hidden layers of the encoder; the decoder has them in reverse.

    likelihood : str or list of (str, columns), default="auto"
        p(x | z) of a column: "gaussian" (standardised inside, with a scale that is
        learned for each column), "bernoulli" (values in [0, 1]), "categorical",
        "poisson" or "negative_binomial" (counts); or pairs of a name and columns,
        which are names, positions, a mask, a slice or a callable, as
        :class:`~sklearn.compose.ColumnTransformer` takes them. A name is for all
        columns but those of categories; columns in no pair are as with "auto". "auto"
        chooses "bernoulli" if all values lie in [0, 1] and at least a third of them
        are exactly 0 or 1 (binary data, image intensities), for a sparse array of
        counts "negative_binomial", else "gaussian". Beside columns of categories it
        chooses for each: "bernoulli" for zeros and ones, else "gaussian"; see
        `likelihood_`.

    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of categories: a mask, positions or names, as
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier` takes them. Strings
        and categorical types in pandas and polars frames are always found, except with
        None. Categories that `fit` has not seen are missing afterwards, with a warning.

    max_epochs : "auto" or int, default="auto"
        Passes over the rows. "auto" is 60, or as many as make 1000 minibatches. The
        weight of the KL divergence rises from 0 to 1 over the first 40 % of them [3]_,
        but not with the Gaussian and the negative binomial, whose scales are learned:
        some column would be learned by heart meanwhile.

    batch_size : int, default=128
        Rows in a minibatch.

    learning_rate : float, default=3e-3
        Step size of Adam. It falls to zero over the last 40 % of the steps.

    early_stopping : bool, default=False
        End training when the mean bound of rows held out of it has not risen by `tol`
        for `n_iter_no_change` epochs, and go back to the weights with the best one.
        `max_epochs` is then the most there can be, and its first 40 %, while the weight
        of the KL divergence rises (where no scale is learned), do not count.

    validation_fraction : "auto" or float, default="auto"
        Share of the rows that training does not see; "auto" is 0.1 with
        `early_stopping`, else 0. Minus their mean bound is the
        ``"valid_loss"`` that skorch's callbacks monitor.

    n_iter_no_change : int, default=10
        Epochs without a better bound after which `early_stopping` ends training.

    tol : float, default=1e-4
        Rise of the bound, in nats a row, that counts for `early_stopping`.

    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:N", "mps" or a torch.device; "auto" takes the first of
        CUDA, MPS and CPU that is there.

    n_threads : int, default=None
        Threads over which torch spreads an operation on the CPU; None takes as many as
        networks and rows are worth.

    precision : {"float32", "bf16"}, default="float32"
        "bf16" runs the networks, in training, under autocast to bfloat16.

    max_grad_norm : float or None, default=None
        Norm of the gradient of a minibatch's loss, over all weights, to which a larger
        gradient is scaled down. None leaves gradients as they are.

    compile : bool, default=False
        Have ``torch.compile`` compile the loss.

    callbacks : list of skorch callbacks, default=None
        Called by the skorch net during training. They can monitor ``"train_loss"`` and
        ``"bound"``. scikit-learn's callbacks are set by `set_callbacks`.

    checkpoint : str or path-like, default=None
        File in which `fit` keeps the whole state of training, epoch by epoch, as far
        as that takes a tenth of the time. If the process ends, `fit` with the same rows
        and parameters goes on from there, and comes to the same bits as without the
        end. The file stays when training is over, and `fit` is then done at once:
        delete it to train anew. A file of other rows or parameters is refused. Needs
        safetensors. The state of `callbacks` is not in it.

    random_state : int, RandomState instance or None, default=None
        Fixes weights, minibatches, noise and samples.

    verbose : int, default=0
        0 prints nothing, 1 prints a line an epoch.

    warm_start : bool, default=False
        Go on training the fitted model at the next `fit`, for `max_epochs` more.

    encoder_module : callable, default=None
        A network of your own: a `torch.nn.Module` class or a factory, called with
        ``(in_features, out_features, **kwargs)``, that maps floats of shape
        (n, in_features) to (n, out_features). It maps rows to what goes into the
        encoder's first hidden layer, ``hidden_sizes[0]`` numbers.

    decoder_module : callable, default=None
        The same for the decoder: it maps latent points to what the likelihood takes,
        a number for each column that is not constant.

    **module_parameters : dict
        Keywords of these networks, as ``encoder_module__channels=16``; `get_params` and
        `set_params` know them.

    Attributes
    ----------
    likelihood_ : str or list of (str, list)
        The likelihood in use; pairs of names and columns where they differ.

    n_features_in_ : int
        Number of columns seen during fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if they all are strings.

    n_iter_ : int
        Number of epochs done.

    history_ : skorch.history.History
        One entry an epoch, with ``train_loss`` and ``bound``.

    module_ : torch.nn.Module
        The networks.

    net_ : skorch.NeuralNet
        The net that trained them.

    device_ : torch.device
        Where they are.

    validation_bound_ : float or None
        Mean lower bound of log p(x) of the rows held out in `fit`, in nats, for the
        weights that were kept; None if there were none. In standardised units for the
        Gaussian, unlike `score_samples`.

    See Also
    --------
    SSVAEClassifier : The semi-supervised model.
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

    _parameter_constraints: dict[str, list[Any]] = {
        "latent_size": [Interval(Integral, 1, None, closed="left")],
        "hidden_sizes": ["array-like"],
        "likelihood": [str, list, tuple],
        "categorical_features": [str, "array-like", None],
        "max_epochs": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="left"),
        ],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, torch.device],
        "n_threads": [None, Interval(Integral, 1, MOST_THREADS, closed="both")],
        "precision": [StrOptions({"float32", "bf16"})],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "compile": ["boolean"],
        "callbacks": [None, list],
        "checkpoint": [str, os.PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "encoder_module": [callable, None],
        "decoder_module": [callable, None],
    }

    _FIXED = (
        "latent_size",
        "hidden_sizes",
        "likelihood",
        "categorical_features",
        "encoder_module",
        "decoder_module",
    )

    def __init__(
        self,
        latent_size: int = 10,
        *,
        hidden_sizes: tuple[int, ...] = (128,),
        likelihood: str | list[tuple[str, Any]] = "auto",
        categorical_features: Any = "from_dtype",
        max_epochs: str | int = "auto",
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        early_stopping: bool = False,
        validation_fraction: str | float = "auto",
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        device: str | torch.device = "auto",
        n_threads: int | None = None,
        precision: str = "float32",
        max_grad_norm: float | None = None,
        compile: bool = False,
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        warm_start: bool = False,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
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
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.n_threads = n_threads
        self.precision = precision
        self.max_grad_norm = max_grad_norm
        self.compile = compile
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.encoder_module = encoder_module
        self.decoder_module = decoder_module
        self._set_module_parameters(module_parameters)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.net_.module_.latent_size)

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Fit the model to rows.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Numbers, or categories in a data frame of pandas or polars. NaN, None and
            nulls are missing. At least two rows and one column that varies.

        y : None
            Ignored; here for pipelines.

        Returns
        -------
        self : VariationalAutoencoder
            The fitted estimator. KeyboardInterrupt ends training early and leaves a
            fitted model with the epochs done.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used, or training diverges. The estimator is
            then as it was before the call.
        """
        with all_or_nothing(self), default_torch_state(resolve_device(self.device)):
            go_on = self._goes_on()
            rows = self._read(X, first=not go_on)
            data = TrainingData(rows, np.full(rows.shape[0], UNLABELED))
            if go_on:
                net = self._resume(data)
                checkpoint = self._checkpoint(data)
            else:
                self._seed = draw_seed(self.random_state)
                checkpoint = self._checkpoint(data)
                self._fix_columns(data, streaming=False)
                net = self._new_net(M1Module, np.ones(1))
            with restored_on_error(net):
                parts = self._rows(data, net, None, self._validation_share())
                n_epochs = resolve_max_epochs(
                    self.max_epochs, len(parts[0]), self.batch_size
                )
                with (
                    self._fit_task(n_epochs, X, y, {}) as tasks,
                    self._training(
                        net,
                        parts,
                        [("all", n_epochs)],
                        tasks,
                        checkpoint=checkpoint,
                    ),
                ):
                    self.net_ = net
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Latent means, of q(z | x).

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        Returns
        -------
        Z : ndarray of float32 of shape (n_samples, latent_size)
            Latent means.
        """
        rows = self._validated(X)
        with self._threads(rows.shape[0]):
            return inference.latent_means(self.module_, rows, self._encoder())

    def inverse_transform(self, Z: npt.ArrayLike) -> Any:
        """Decode latent points to means of x.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_size)
            Latent points.

        Returns
        -------
        X : array or frame of shape (n_samples, n_features)
            Means of p(x | z), in the units and columns of fit; of categories the most
            probable one.

        Raises
        ------
        ValueError
            If `Z` has another number of columns.
        """
        points = self._points(Z)
        return self._decoded(points, np.ones((len(points), 1)))

    def sample(self, n_samples: int = 1) -> Any:
        """Draw rows from the model, x ~ p(z) p(x | z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : array, sparse array or frame of shape (n_samples, n_features)
            Drawn rows: what `fit` was given, with its columns, types and categories.

        Notes
        -----
        As for :class:`~sklearn.mixture.GaussianMixture`, an integer `random_state`
        gives the same draws at every call, a RandomState instance or None new ones.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        codes = np.zeros(int(n_samples), dtype=np.int64)
        return self._draw(codes, draw_seed(self.random_state))

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:
        """Mean of `score_samples`.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        y : None
            Ignored.

        Returns
        -------
        bound : float
            Mean estimate of log p(x), in nats, in the user's units.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))
