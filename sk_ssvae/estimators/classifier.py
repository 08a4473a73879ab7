"""The scikit-learn face: parameters, validation, fitted state."""

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    MissingValues,
    StrOptions,
)
from torch import nn

from sk_ssvae.data.labels import encode_classes, encode_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.data.scaling import RowEncoder
from sk_ssvae.data.validation import check_weights, rows_with_weight
from sk_ssvae.estimators.base import TrainingData
from sk_ssvae.estimators.generation import GenerativeMixin
from sk_ssvae.estimators.prediction import PredictiveMixin
from sk_ssvae.estimators.saving import PlainStateMixin
from sk_ssvae.estimators.teaching import Guess, TeachingMixin
from sk_ssvae.models import MODELS, VAEModule, inference
from sk_ssvae.models.networks import check_hidden_sizes
from sk_ssvae.teachers.class_priors import resolve_class_prior
from sk_ssvae.training.batches import resolve_max_epochs
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.callbacks import EpochTaskReporter
from sk_ssvae.training.checkpoint import Checkpoint
from sk_ssvae.training.marginalization import resolve_bound_rows, resolve_top_k
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.trainer import restored_on_error
from sk_ssvae.utils.devices import default_torch_state, resolve_device
from sk_ssvae.utils.estimator import DocLinkMixin, all_or_nothing
from sk_ssvae.utils.random import RandomState, draw_seed
from sk_ssvae.utils.threads import MOST as MOST_THREADS
from sk_ssvae.utils.typing import Array

__all__ = ["SSVAEClassifier"]


class SSVAEClassifier(
    PredictiveMixin,
    GenerativeMixin,
    TeachingMixin,
    PlainStateMixin,
    DocLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    ClassifierMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Semi-supervised variational autoencoder (M2) as a classifier.

    For many rows and few labels: rows with label -1 have no label and still teach the
    model what the data look like. The generative model of Kingma et al. [1]_ is

    .. math::
        p(y) = \mathrm{Cat}(y; \pi), \quad p(z) = N(z; 0, I), \quad
        p(x | y, z) = \textstyle\prod_j f(x_j; h_j(y, z))

    with inference networks q(y | x), the classifier, and q(z | x, y). What is
    minimised is minus the mean over rows of a lower bound of log p(x, y) where y is
    known and of log p(x) where it is not, plus `alpha` times the mean cross-entropy of
    the labelled rows. ``docs/model.md`` gives the formulas.

    Parameters
    ----------
    latent_size : int, default=10
        Number of latent dimensions, the columns of `transform`.

    hidden_sizes : sequence of int, default=(128,)
        Sizes of the hidden layers of the encoder; the decoder has them in reverse.

    classifier_hidden_sizes : sequence of int or None, default=(200, 200)
        Sizes of the hidden layers of the classifier; None takes `hidden_sizes`.

    model : {"m2", "m1+m2", "sdgm", "adgm"}, default="m2"
        The generative model. "m1+m2" is M2 on samples of the latent variable of an
        unsupervised VAE [1]_, which is trained first, on all rows. "sdgm" and "adgm"
        have an auxiliary variable beside z [4]_: their q(y, z | x) has more shapes.

    inner_size : int, default=50
        Number of dimensions of the variable between a row and its class: M1's latent
        variable in "m1+m2", the auxiliary one in "sdgm" and "adgm". "m2" has none.

    likelihood : str or list of (str, columns), default="auto"
        p(x | y, z) of a column: "gaussian" (standardised inside, with a scale that is
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

    teacher : "pool", estimator or None, default="pool"
        Who makes the first guess at the hidden labels. "pool" is
        :class:`~sk_ssvae.OpinionPoolClassifier`, of which label spreading is an
        ingredient. None is nobody, as in the plain model. Any
        scikit-learn classifier that takes -1, such as
        :class:`~sklearn.semi_supervised.LabelSpreading`, is cloned, fitted on the same
        rows in the user's units with classes coded 0 ... n_classes - 1 (if there are
        categories or missing cells, on what the networks are shown: gaps filled by
        means, a column for each category), and its answers for the unlabelled rows are
        soft targets, the certain ones counting most. Their pull falls to a half over
        the first 35 % of the steps of `fit`, and stays there. `partial_fit` does not
        use the teacher.

    teacher_weight : float, default=1.0
        Weight of the teacher's cross-entropy at the start, beside that of the labels,
        which is 1. `alpha` multiplies both.

    entropy_weight : float, default=0.3
        Weight of the mean entropy of q(y | x) on unlabelled rows [3]_, on the same
        scale: answers become surer than the teacher's.

    balance_weight : float, default=0.3
        Weight of the divergence of the mean of q(y | x), over the unlabelled rows of a
        minibatch, from the class prior, on the same scale. Without a teacher it does
        not count.

    adversarial_weight : float, default=0.0
        Weight of the divergence of q(y | x + r) from q(y | x), r being the direction
        that moves answers most [5]_, on the same scale. A help with many rows of
        images, where a small r changes no class; on small tabular sets it was none.

    adversarial_radius : float, default=1.0
        Length of r: in standardised units for the Gaussian, as X is for the Bernoulli.

    class_prior : str or array-like of shape (n_classes,), default="auto"
        p(y): the mean of the labels and the teacher's guesses ("auto"; "uniform" if
        there is no teacher), the same for all classes ("uniform"), the (weighted)
        shares of the labelled rows ("empirical"), estimated ("estimate"), or numbers
        in the order of `classes_`. "estimate" is for labels
        that are not drawn like the other rows, such as as many of each class where the
        classes differ in size: the shares under which the unlabelled rows are most
        likely [7]_, given answers that are right where classes are as frequent as
        among the labels. These are the teacher's, and its guesses are made anew for the
        estimate; without a teacher logistic regression's, and then what the classifier
        answers in the end is. `partial_fit` takes "estimate" for "auto".

    temperature : {"auto", "cross-fit"} or float in [0.01, 100], default="auto"
        T of `predict_proba`, which is q(y | x) to the power of 1 / T, normalised [6]_.
        Classes that are predicted do not depend on it (but without a teacher, with
        ``class_prior="estimate"``, for which answers are moved afterwards), nor do
        `transform` and the density. 1 leaves q as it is. "auto" is 1.7 with a teacher,
        as the entropy term makes answers sharper than what is known, and else 1.
        "cross-fit" hides the labels in turn, in three folds, which takes four times as
        long, and fits T to them, near 1.7. `partial_fit` takes "cross-fit" for "auto".

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`. -1 is scikit-learn's marker. With None, NaN
        or NA all missing values do, of nullable integers and categoricals too; -1 is
        then a class like any other.

    alpha : float, default=30.0
        Weight of the classification terms. Bounds are sums over the columns, so what
        is a large weight grows with their number. 0.1 is the paper's choice.

    max_epochs : "auto" or int, default="auto"
        Passes over the unlabelled rows (over all rows, if all are labelled). Labelled
        rows come by more often if they are few. "auto" is 60 passes, or as many as make
        1000 minibatches where there are few rows.

    pretrain_epochs : "auto" or int, default="auto"
        Passes over the rows in which M1 of "m1+m2" is trained alone, in a new `fit`;
        "auto" as for `max_epochs`. The weight of its KL divergence rises from 0 to 1
        over the first 40 % of the steps (where no scale is learned), its learning rate
        falls to 0 over the last.

    finetune_epochs : int, default=0
        Passes at the end in which all networks of "m1+m2" are trained together.

    batch_size : int, default=128
        Rows in a minibatch. If less than a quarter of it would be labelled, labelled
        rows are added to make up the quarter, or all there are.

    marginalization : {"auto", "exact", "topk"}, default="auto"
        How the sum over classes of the unlabelled bound is taken in training. "exact"
        sums them all, for one pass of encoder and decoder each. "topk" sums the
        `top_k` most probable ones and lets one class drawn from the rest stand for it
        [2]_: unbiased in value and gradient, noisier, and for many classes several
        times faster. "auto" is "topk" from 20 classes on.

    top_k : int, default=8
        Classes that "topk" sums exactly. With all classes but one, the sum is exact.

    bound_rows : "auto", int or None, default="auto"
        Of how many unlabelled rows of a minibatch the bound is taken, in training; the
        other terms take all. None is all of them; fewer are an unbiased estimate.
        "auto" takes 64, or fewer where classes times columns are many, so that a step
        does not cost more than 2**19 numbers of the decoder's output, but 16 at least.

    early_stopping : bool, default=False
        End training when the mean bound of unlabelled rows held out of it has not risen
        by `tol` for `n_iter_no_change` epochs, and go back to the weights with the best
        one. `max_epochs` is then the most there can be; those of "m1+m2" in which the
        weight of the KL divergence still rises do not count. `partial_fit` does not
        stop early. When the bound is a good guide to the classes, and when not:
        docs/model_selection.md.

    validation_fraction : "auto" or float, default="auto"
        Share of the unlabelled rows that training does not see; "auto" is 0.1 with
        `early_stopping`, else 0. Minus their mean lower
        bound of log p(x) is the ``"valid_loss"`` that skorch's EarlyStopping and
        Checkpoint monitor unless told otherwise. Labels are too dear to be held out;
        `partial_fit` holds out nothing.

    n_iter_no_change : int, default=10
        Epochs without a better bound after which `early_stopping` ends training.

    tol : float, default=1e-4
        Rise of the bound, in nats a row, that counts for `early_stopping`.

    learning_rate : float, default=3e-3
        Step size of Adam.

    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:N", "mps" or a torch.device; "auto" takes the first of
        CUDA, MPS and CPU that is there.

    n_threads : int, default=None
        Threads over which torch spreads an operation on the CPU. None takes as many as
        the networks and the rows are worth, but no more than torch is set to: small
        operations are slower on two threads, and several times so beside other busy
        processes. torch's own setting is restored. In the thread in which a child of a
        fork begins it is one: OpenMP would wait there for threads of the parent.

    precision : {"float32", "bf16"}, default="float32"
        "bf16" runs the networks, in training, under autocast to bfloat16: for CUDA
        devices that have it. Weights and densities stay in single precision.

    max_grad_norm : float or None, default=None
        Norm of the gradient of a minibatch's loss, over all weights, to which a larger
        gradient is scaled down. None leaves gradients as they are. Where
        training diverges, epochs are done again with smaller steps in any case.

    compile : bool, default=False
        Have ``torch.compile`` compile the loss, which takes tens of seconds for each
        shape of network in a process. For accelerators: on a CPU it needs a C++
        compiler, and steps were slower, not faster (benchmarks/README.md).

    callbacks : list of skorch callbacks, default=None
        Called by the skorch net during training. They can monitor ``"train_loss"``,
        ``"bound"`` and ``"classification"``, and with `validation_fraction` also
        ``"valid_loss"``. scikit-learn's callbacks are set by `set_callbacks`.

    checkpoint : str or path-like, default=None
        File in which `fit` keeps the whole state of training, epoch by epoch, as far
        as that takes a tenth of the time. If the process ends, `fit` with the same rows
        and parameters goes on from there, and comes to the same bits as without the
        end. The file stays when training is over, and `fit` is then done at once:
        delete it to train anew. A file of other rows or parameters is refused. Needs
        safetensors. The state of `callbacks` is not in it.

    random_state : int, RandomState instance or None, default=None
        Fixes weights, minibatches, noise, samples, and every ``random_state=None`` of
        the teacher. The global generators of numpy and torch are never used.

    verbose : int, default=0
        0 prints nothing, 1 prints a line an epoch.

    warm_start : bool, default=False
        Go on training the fitted model at the next `fit`, for `max_epochs` more.

    classifier_module : callable, default=None
        A network of your own for the classifier: a `torch.nn.Module` class or a
        factory, called with ``(in_features, out_features, **kwargs)``, that maps
        floats of shape (n, in_features) to (n, out_features). It maps rows to scores
        of the classes; in "m1+m2" M1's latent variable, in "sdgm" and "adgm" rows and
        auxiliary variable side by side. Columns that are constant in `fit` are left
        out. Dropout and the like draw from torch's global generator, which is seeded
        for them and given back: fits in parallel threads take turns.

    encoder_module : callable, default=None
        The same for the encoder: it maps rows to what goes into its first hidden layer,
        ``hidden_sizes[0]`` numbers, to which the shares of other inputs, such as the
        class, are added. Of "m1+m2" it is M1's.

    decoder_module : callable, default=None
        The same for the decoder: it maps latent points and one-hot classes, side by
        side, to what the likelihood takes, a number for each column. In "sdgm" the
        auxiliary variable stands before them. Of "m1+m2" it is M1's, without classes.

    **module_parameters : dict
        Keywords of these networks, as ``classifier_module__channels=16``; `get_params`
        and `set_params` know them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, without -1.

    class_prior_ : ndarray of shape (n_classes,)
        p(y).

    likelihood_ : str or list of (str, list)
        The likelihood in use; pairs of names and columns where they differ.

    temperature_ : float
        T of `predict_proba`.

    n_features_in_ : int
        Number of columns seen during fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if they all are strings.

    n_iter_ : int
        Number of epochs done.

    transduction_ : ndarray of shape (n_samples,)
        Class of every row of the last `fit` or `partial_fit`: the given label where
        there is one (and the row's weight is not zero), else the predicted class.

    label_distributions_ : ndarray of float32 of shape (n_samples, n_classes)
        The probabilities behind `transduction_`; one-hot for labelled rows.

    history_ : skorch.history.History
        One entry an epoch: ``train_loss``, ``bound`` (mean lower bound over all rows in
        nats, in standardised units for the Gaussian), ``classification``, ``teacher``.

    module_ : torch.nn.Module
        The networks (`sk_ssvae.models`).

    net_ : skorch.NeuralNet
        The net that trained them.

    device_ : torch.device
        Where they are.

    validation_bound_ : float or None
        Mean lower bound of log p(x) of the rows held out in the last `fit`, in nats,
        for the weights that were kept; None if there were none. As in `history_`, in
        standardised units for the Gaussian, unlike `score_samples`.

    See Also
    --------
    sklearn.semi_supervised.LabelSpreading : Labels spread over a graph of the rows.
    sklearn.semi_supervised.SelfTrainingClassifier : A classifier that learns from its
        own confident predictions.

    Notes
    -----
    Columns that are constant in `fit` carry no information: the model leaves them out,
    and `sample` and `inverse_transform` give them back as they were.

    References
    ----------
    .. [1] D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling. Semi-supervised
       learning with deep generative models. NIPS 2014. arXiv:1406.5298.
    .. [2] R. Liu, J. Regier, N. Tripuraneni, M. I. Jordan and J. McAuliffe.
       Rao-Blackwellized stochastic gradients for discrete distributions. ICML 2019.
       arXiv:1810.04777.
    .. [3] Y. Grandvalet and Y. Bengio. Semi-supervised learning by entropy
       minimization. NIPS 2004.
    .. [4] L. Maaloe, C. K. Sonderby, S. K. Sonderby and O. Winther. Auxiliary deep
       generative models. ICML 2016. arXiv:1602.05473.
    .. [5] T. Miyato, S. Maeda, M. Koyama and S. Ishii. Virtual adversarial training: a
       regularization method for supervised and semi-supervised learning. IEEE TPAMI
       2018. arXiv:1704.03976.
    .. [6] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger. On calibration of modern
       neural networks. ICML 2017. arXiv:1706.04599.
    .. [7] M. Saerens, P. Latinne and C. Decaestecker. Adjusting the outputs of a
       classifier to new a priori probabilities: a simple procedure. Neural
       Computation 14, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import SSVAEClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> few = np.full_like(y, -1)
    >>> few[::10] = y[::10]  # 15 labels, 135 rows without
    >>> clf = SSVAEClassifier(latent_size=2, max_epochs=50, random_state=0)
    >>> bool(clf.fit(X, few).score(X, y) > 0.8)
    True
    >>> clf.transform(X).shape
    (150, 2)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "latent_size": [Interval(Integral, 1, None, closed="left")],
        "hidden_sizes": ["array-like"],
        "classifier_hidden_sizes": ["array-like", None],
        "model": [str],
        "inner_size": [Interval(Integral, 1, None, closed="left")],
        "likelihood": [str, list, tuple],
        "categorical_features": [str, "array-like", None],
        "teacher": [
            None,
            StrOptions({"pool"}),
            HasMethods(["fit", "predict", "get_params"]),
        ],
        "teacher_weight": [Interval(Real, 0, None, closed="left")],
        "entropy_weight": [Interval(Real, 0, None, closed="left")],
        "balance_weight": [Interval(Real, 0, None, closed="left")],
        "adversarial_weight": [Interval(Real, 0, None, closed="left")],
        "adversarial_radius": [Interval(Real, 0, None, closed="neither")],
        "class_prior": [
            StrOptions({"auto", "uniform", "empirical", "estimate"}),
            "array-like",
        ],
        "temperature": [
            StrOptions({"auto", "cross-fit"}),
            Interval(Real, 0.01, 100, closed="both"),
        ],
        "unlabeled": [MissingValues()],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "pretrain_epochs": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "finetune_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "marginalization": [StrOptions({"auto", "exact", "topk"})],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "bound_rows": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="left"),
        ],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
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
        "classifier_module": [callable, None],
        "encoder_module": [callable, None],
        "decoder_module": [callable, None],
    }

    def __init__(
        self,
        latent_size: int = 10,
        *,
        hidden_sizes: tuple[int, ...] = (128,),
        classifier_hidden_sizes: tuple[int, ...] | None = (200, 200),
        model: str = "m2",
        inner_size: int = 50,
        likelihood: str | list[tuple[str, Any]] = "auto",
        categorical_features: Any = "from_dtype",
        teacher: BaseEstimator | str | None = "pool",
        teacher_weight: float = 1.0,
        entropy_weight: float = 0.3,
        balance_weight: float = 0.3,
        adversarial_weight: float = 0.0,
        adversarial_radius: float = 1.0,
        class_prior: str | npt.ArrayLike = "auto",
        temperature: str | float = "auto",
        unlabeled: Any = UNLABELED,
        alpha: float = 30.0,
        max_epochs: str | int = "auto",
        pretrain_epochs: str | int = "auto",
        finetune_epochs: int = 0,
        batch_size: int = 128,
        marginalization: str = "auto",
        top_k: int = 8,
        bound_rows: str | int | None = "auto",
        early_stopping: bool = False,
        validation_fraction: str | float = "auto",
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        learning_rate: float = 3e-3,
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
        classifier_module: Callable[..., nn.Module] | None = None,
        encoder_module: Callable[..., nn.Module] | None = None,
        decoder_module: Callable[..., nn.Module] | None = None,
        **module_parameters: Any,
    ) -> None:
        self.latent_size = latent_size
        self.hidden_sizes = hidden_sizes
        self.classifier_hidden_sizes = classifier_hidden_sizes
        self.model = model
        self.inner_size = inner_size
        self.likelihood = likelihood
        self.categorical_features = categorical_features
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self.entropy_weight = entropy_weight
        self.balance_weight = balance_weight
        self.adversarial_weight = adversarial_weight
        self.adversarial_radius = adversarial_radius
        self.class_prior = class_prior
        self.temperature = temperature
        self.unlabeled = unlabeled
        self.alpha = alpha
        self.max_epochs = max_epochs
        self.pretrain_epochs = pretrain_epochs
        self.finetune_epochs = finetune_epochs
        self.batch_size = batch_size
        self.marginalization = marginalization
        self.top_k = top_k
        self.bound_rows = bound_rows
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.learning_rate = learning_rate
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
        self.classifier_module = classifier_module
        self.encoder_module = encoder_module
        self.decoder_module = decoder_module
        self._set_module_parameters(module_parameters)

    _FIXED = (
        "latent_size",
        "hidden_sizes",
        "classifier_hidden_sizes",
        "model",
        "inner_size",
        "likelihood",
        "categorical_features",
        "class_prior",
        "classifier_module",
        "encoder_module",
        "decoder_module",
    )

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
            Numbers, or categories in a data frame of pandas or polars. NaN, None and
            nulls are missing. At least two rows and one column that varies.

        y : array-like of shape (n_samples,)
            Labels, with -1 for unlabelled rows: integers, or dtype object with strings
            and the integer -1. At least two classes must be labelled.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the bounds and in the classification term, not
            negative; only their ratios matter. A row of weight zero is as if it were
            not there. The teacher does not see the weights.

        Returns
        -------
        self : SSVAEClassifier
            The fitted estimator. KeyboardInterrupt ends training early and leaves a
            fitted model with the epochs done.

        Raises
        ------
        ValueError
            If X, y or a parameter cannot be used, or training diverges. The estimator
            is then as it was before the call.
        """
        with all_or_nothing(self), default_torch_state(resolve_device(self.device)):
            go_on = self._goes_on()
            classes, data = self._validate(
                X, y, sample_weight, self.classes_ if go_on else None, first=not go_on
            )
            if go_on:
                net = self._resume(data)
                checkpoint = self._checkpoint(data)
                guess = self._guess(data, len(classes))
            else:
                self._seed = draw_seed(self.random_state)
                checkpoint = self._checkpoint(data)
                self._fix_columns(data, streaming=False)
                self._check_networks()
                guess = self._guess(data, len(classes))
                net = self._start(data, classes, guess)
            self.temperature_ = self._temperature(X, data)
            with restored_on_error(net):
                rows = self._rows(data, net, guess.labels, self._validation_share())
                stages = self._stages(net, len(rows[0]), new=not go_on)
                n_epochs = sum(n for _, n in stages)
                metadata = {"sample_weight": sample_weight}
                with self._fit_task(n_epochs, X, y, metadata) as tasks:
                    self._train(net, data, rows, stages, tasks, checkpoint)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Train one epoch on a chunk of rows.

        The loss is that of the chunk: its labelled rows together weigh `alpha`, however
        few they are. The first call fixes the classes, the likelihood, and location and
        scale of the columns: make its chunk large enough to speak for the rest. Columns
        that are constant in it are kept. The teacher is not used.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            As for `fit`; at least two rows in the first call, which fixes the
            categories, and whether cells may be missing.

        y : array-like of shape (n_samples,)
            Labels, with -1 for unlabelled rows; none need be labelled.

        classes : array-like of shape (n_classes,), default=None
            All classes, without -1. Needed at the first call.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative.

        Returns
        -------
        self : SSVAEClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            As for `fit`; the estimator is then as it was before the call.
        """
        with all_or_nothing(self), default_torch_state(resolve_device(self.device)):
            go_on = self.__sklearn_is_fitted__()
            known = self._known_classes(classes)
            _, data = self._validate(X, y, sample_weight, known, first=not go_on)
            if go_on:
                net = self._resume(data)
            else:
                self._seed = draw_seed(self.random_state)
                self._fix_columns(data, streaming=True)
                net = self._start(data, known, Guess(), streaming=True)
                self.temperature_ = 1.0
            if not isinstance(self.temperature, str):
                self.temperature_ = float(self.temperature)
            with restored_on_error(net):
                self._train(net, data, self._rows(data, net), [("all", 1)])
        return self

    def _known_classes(self, classes: npt.ArrayLike | None) -> Array:
        """Classes of `partial_fit`: given at the first call, the same ever after."""
        fitted = self.__sklearn_is_fitted__()
        if classes is None:
            if not fitted:
                raise ValueError(
                    "classes must be passed at the first call to partial_fit."
                )
            known: Array = self.classes_
            return known
        given = encode_classes(classes, self.unlabeled)
        if fitted and not np.array_equal(given, self.classes_):
            raise ValueError(
                f"classes={given.tolist()} differs from the classes that the model "
                f"has: {self.classes_.tolist()}."
            )
        return given

    def _validate(
        self, X: Any, y: Any, sample_weight: Any, classes: Array | None, *, first: bool
    ) -> tuple[Array, TrainingData]:
        """Check rows, labels and weights; those of weight zero count as unlabelled."""
        X, y = self._read(
            X,
            as_label_array(y, self.unlabeled),
            first=first,
            used=rows_with_weight(sample_weight),
        )
        used: npt.NDArray[np.bool_] | None = None
        weight = None
        if sample_weight is not None:
            weight = check_weights(sample_weight, X)
            # only ratios count, so no size of weights can overflow
            weight = weight / weight.max()
            used = weight > 0
            weight /= weight[used].mean()
            if first and used.sum() < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least 2 rows with a positive "
                    f"sample_weight, got {used.sum()} of {X.shape[0]}."
                )
        codes = np.full(len(y), UNLABELED)
        counts = slice(None) if used is None else used
        classes, codes[counts] = encode_labels(
            y[counts],
            classes,
            owner=type(self).__name__,
            unlabeled=self.unlabeled,
        )
        return classes, TrainingData(X, codes, used, weight)

    def _classifier_sizes(self) -> tuple[int, ...]:
        """Hidden sizes of the classifier."""
        if self.classifier_hidden_sizes is None:
            return check_hidden_sizes(self.hidden_sizes)
        return check_hidden_sizes(
            self.classifier_hidden_sizes, "classifier_hidden_sizes"
        )

    def _model(self) -> type[VAEModule]:
        if self.model not in MODELS:
            raise ValueError(
                f"model must be one of {sorted(MODELS)}, got {self.model!r}. A class "
                "of your own must be imported wherever the estimator is used, in "
                "workers too."
            )
        return MODELS[self.model]

    def _check_networks(self) -> None:
        """Errors in their parameters come before the teacher takes its time."""
        self._model()
        self._networks()
        check_hidden_sizes(self.hidden_sizes)
        self._classifier_sizes()

    def _stages(
        self, net: SSVAENet, n_rows: int, *, new: bool
    ) -> list[tuple[str, int]]:
        """Stages of `fit`; a model that goes on is pretrained already."""
        max_epochs, pretrain_epochs = (
            resolve_max_epochs(epochs, n_rows, self.batch_size)
            for epochs in (self.max_epochs, self.pretrain_epochs)
        )
        module: VAEModule = net.module_
        return list(
            module.stages(
                max_epochs, pretrain_epochs if new else 0, int(self.finetune_epochs)
            )
        )

    def _start(
        self,
        data: TrainingData,
        classes: Array,
        guess: Guess,
        *,
        streaming: bool = False,
    ) -> SSVAENet:
        """Fix the classes, and make an untrained net."""
        self.classes_ = classes
        self._log_shift = guess.log_shift
        prior = self.class_prior if guess.shares is None else guess.shares
        if streaming and self._estimates_prior():
            prior = "auto"  # a chunk need not have all classes
        self.class_prior_ = resolve_class_prior(
            prior, classes, data.codes, data.weight, guess.labels
        )
        return self._new_net(
            self._model(),
            self.class_prior_,
            self._classifier_sizes(),
            int(self.inner_size),
        )

    def _train(
        self,
        net: SSVAENet,
        data: TrainingData,
        rows: tuple[Rows, Rows | None],
        stages: list[tuple[str, int]],
        tasks: EpochTaskReporter | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Train the net on the rows, and make it and its answers the fitted state."""
        top_k = resolve_top_k(
            int(self.top_k) if self.marginalization == "topk" else self.marginalization,
            len(self.classes_),
        )
        summed = len(self.classes_) if top_k is None else top_k + 1
        bound_rows = resolve_bound_rows(
            self.bound_rows, summed, net.module_.likelihood.n_outputs
        )
        with self._training(
            net,
            rows,
            stages,
            tasks,
            objective=Objective(
                top_k=top_k,
                bound_rows=bound_rows,
                alpha=float(self.alpha),
                teacher_weight=float(self.teacher_weight),
                entropy_weight=float(self.entropy_weight),
                balance_weight=float(self.balance_weight),
                adversarial_weight=float(self.adversarial_weight),
                adversarial_radius=float(self.adversarial_radius),
            ),
            checkpoint=checkpoint,
        ):
            log_q = inference.log_posterior_y(
                net.module_, data.X, RowEncoder(self._columns)
            )
        distributions = np.exp(self._answers(log_q))
        if not np.isfinite(distributions).all():
            raise ValueError(
                "Training diverged: weights are so large that probabilities are NaN. "
                f"{net.remedies}"
            )
        labelled = np.flatnonzero(data.codes != UNLABELED)
        distributions[labelled] = 0
        distributions[labelled, data.codes[labelled]] = 1
        self.label_distributions_ = distributions
        self.transduction_ = self.classes_[distributions.argmax(axis=1)]
        self.net_ = net

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Latent means with the class averaged out, sum_y q(y | x) mu(x, y).

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
