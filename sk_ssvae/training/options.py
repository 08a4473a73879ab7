"""Training options that are rarely changed, as parameter objects."""

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from sk_ssvae.utils.sklearn_private import Interval, StrOptions
from sk_ssvae.utils.threads import MAX_THREADS

__all__ = ["ClassifierOptions", "TrainingOptions"]


MAX_SECONDS = 1e9
"""Largest time limit, 32 years. Larger integers may not fit into a float."""


class TrainingOptions(BaseEstimator):
    """Options of the training loop, for ``options=`` of both estimators.

    Options have `get_params`, `set_params` and `clone` as estimators have. They are
    validated in `fit` of the estimator that they are passed to.

    Parameters
    ----------
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which ``early_stopping=True`` ends
        training. Raise it if the held-out bound fluctuates from epoch to epoch.

    tol : float, default=1e-4
        Smallest increase of the mean held-out bound, in nats per row, that counts as an
        improvement. Raise it to stop earlier, at some cost in the bound.

    max_grad_norm : float or None, default=None
        Norm to which larger gradients of a minibatch are scaled down; None does not
        clip. Set it if `fit` warns that training diverged and a smaller
        `learning_rate` trains too slowly.

    max_time : float or None, default=None
        Time in seconds that `fit` should take, the teacher included. If it does not
        suffice for `max_epochs`, training is shortened to what it suffices for, and so
        are its schedules, with a ConvergenceWarning; results are then not reproducible.
        The teacher is not shortened, and training gets at least a fifth of the time. It
        has no effect on `partial_fit`, and several processes cannot have it. Set it if
        the time of a job is limited; see the :doc:`user guide </callbacks>`.

    precision : {"float32", "bf16"}, default="float32"
        "bf16" runs the networks under autocast to bfloat16 during training; weights
        and densities stay in single precision. Set it for large networks on CUDA
        devices that support bfloat16.

    n_threads : int or None, default=None
        Number of threads torch uses within an operation on the CPU. None chooses it
        from the size of the networks and of a minibatch, up to torch's own setting,
        which is restored afterwards. Set it to 1 if several fits share the cores.

    compile : bool, default=False
        Whether ``torch.compile`` compiles the loss. Set it for long training runs on an
        accelerator: compilation takes tens of seconds for each shape of network, and
        on a CPU it needs a C++ compiler and made steps slower
        (``benchmarks/README.md``).

    distributed : bool or "auto", default=False
        Whether several processes train one model, data-parallel: each computes the
        gradient of its part of every minibatch. All of them must call `fit` with the
        same rows and parameters, and get the same model
        (:doc:`user guide </distributed>`). True needs processes that ``torchrun`` has
        started, or an initialised ``torch.distributed``; "auto" is the same as True
        in several such processes and as False otherwise. It is not the default, since
        such processes may also fit models of their own.

    See Also
    --------
    ClassifierOptions : The options of `sk_ssvae.SSVAEClassifier`.

    Examples
    --------
    >>> from sk_ssvae.training import TrainingOptions
    >>> TrainingOptions(tol=0.01)
    TrainingOptions(tol=0.01)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_time": [Interval(Real, 0, MAX_SECONDS, closed="right"), None],
        "precision": [StrOptions({"float32", "bf16"})],
        "n_threads": [None, Interval(Integral, 1, MAX_THREADS, closed="both")],
        "compile": ["boolean"],
        "distributed": ["boolean", StrOptions({"auto"})],
    }

    def __init__(
        self,
        *,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        max_grad_norm: float | None = None,
        max_time: float | None = None,
        precision: str = "float32",
        n_threads: int | None = None,
        compile: bool = False,
        distributed: str | bool = False,
    ) -> None:
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.max_grad_norm = max_grad_norm
        self.max_time = max_time
        self.precision = precision
        self.n_threads = n_threads
        self.compile = compile
        self.distributed = distributed


class ClassifierOptions(TrainingOptions):
    """Options of training and of the loss, for ``options=`` of `SSVAEClassifier`.

    Parameters
    ----------
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which ``early_stopping=True`` ends
        training. Raise it if the held-out bound fluctuates from epoch to epoch.

    tol : float, default=1e-4
        Smallest increase of the mean held-out bound, in nats per row, that counts as an
        improvement. Raise it to stop earlier, at some cost in the bound.

    max_grad_norm : float or None, default=None
        Norm to which larger gradients of a minibatch are scaled down; None does not
        clip. Set it if `fit` warns that training diverged and a smaller
        `learning_rate` trains too slowly.

    max_time : float or None, default=None
        Time in seconds that `fit` should take, the teacher included. If it does not
        suffice for `max_epochs`, training is shortened to what it suffices for, and so
        are its schedules, with a ConvergenceWarning; results are then not reproducible.
        The teacher is not shortened, and training gets at least a fifth of the time. It
        has no effect on `partial_fit`, and several processes cannot have it. Set it if
        the time of a job is limited; see the :doc:`user guide </callbacks>`.

    precision : {"float32", "bf16"}, default="float32"
        "bf16" runs the networks under autocast to bfloat16 during training; weights
        and densities stay in single precision. Set it for large networks on CUDA
        devices that support bfloat16.

    n_threads : int or None, default=None
        Number of threads torch uses within an operation on the CPU. None chooses it
        from the size of the networks and of a minibatch, up to torch's own setting,
        which is restored afterwards. Set it to 1 if several fits share the cores.

    compile : bool, default=False
        Whether ``torch.compile`` compiles the loss. Set it for long training runs on an
        accelerator: compilation takes tens of seconds for each shape of network, and
        on a CPU it needs a C++ compiler and made steps slower
        (``benchmarks/README.md``).

    distributed : bool or "auto", default=False
        Whether several processes train one model, data-parallel: each computes the
        gradient of its part of every minibatch. All of them must call `fit` with the
        same rows and parameters, and get the same model
        (:doc:`user guide </distributed>`). True needs processes that ``torchrun`` has
        started, or an initialised ``torch.distributed``; "auto" is the same as True
        in several such processes and as False otherwise. It is not the default, since
        such processes may also fit models of their own.

    teacher_weight : float, default=1.0
        Weight of the cross-entropy with the teacher's soft targets at the start of
        training, relative to that of the labels; `alpha` multiplies both. Lower it if
        the teacher is less accurate than the trained classifier.

    entropy_weight : float, default=0.3
        Weight of the mean entropy of q(y | x) over unlabelled rows [1]_, relative to
        the cross-entropy of the labels. Lower it, down to 0, if probabilities should
        not be sharpened, e.g. because the classes overlap.

    adversarial_weight : "auto" or float, default="auto"
        Weight of virtual adversarial training [2]_, the divergence of q(y | x + r) from
        q(y | x), relative to the cross-entropy of the labels. "auto" is 1 with a
        teacher and the built-in models and networks, if the columns of numbers have at
        least 17 effective dimensions, (sum l)^2 / sum l^2 for the eigenvalues l of
        their correlation matrix, else 0. Columns with two values do not count, unless
        all have. "auto" is also 0 if the median kurtosis of these columns is above 13,
        as that of the counts of rare words. Set it to 0 to save training time, at some
        cost in accuracy.

    adversarial_radius : "auto" or float, default="auto"
        Length of r, in the units of the networks' inputs: standardised for Gaussian
        columns, or in their own unit up to a factor if they share one, and unchanged
        for Bernoulli columns: so small that it does not change the class of most rows.
        "auto" is the median distance of a row to the nearest decision boundary of a
        nearest-centroid classifier of the labels and the teacher's classes. If that is
        not defined, e.g. with a single class, there is no adversarial training.

    bound_rows : "auto", int or None, default="auto"
        Number of unlabelled rows of a minibatch that enter the bound in training, an
        unbiased estimate; all other terms use every row, and None uses every row in the
        bound as well. "auto" takes 64, or fewer (at least 16) for many classes and
        columns, so that a step computes at most 2**19 outputs of the decoder. Set it to
        None if the density matters more than the training time.

    labeled_validation_fraction : float, default=0.0
        Share of the labelled rows of each class, at least one row, that `fit` holds
        out: neither the teacher nor training sees them. Their accuracy is recorded as
        ``"valid_acc"`` and printed with ``verbose=1``, and skorch's callbacks can score
        them. Set it to follow training if there are many labels.

    See Also
    --------
    TrainingOptions : The options of `sk_ssvae.VariationalAutoencoder`.

    References
    ----------
    .. [1] Y. Grandvalet and Y. Bengio. Semi-supervised learning by entropy
       minimization. NIPS 2004.
    .. [2] T. Miyato, S. Maeda, M. Koyama and S. Ishii. Virtual adversarial training: a
       regularization method for supervised and semi-supervised learning. IEEE TPAMI
       2018. arXiv:1704.03976.

    Examples
    --------
    >>> from sk_ssvae.training import ClassifierOptions
    >>> ClassifierOptions(entropy_weight=0.0, max_grad_norm=1.0)
    ClassifierOptions(entropy_weight=0.0, max_grad_norm=1.0)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingOptions._parameter_constraints,
        "teacher_weight": [Interval(Real, 0, None, closed="left")],
        "entropy_weight": [Interval(Real, 0, None, closed="left")],
        "adversarial_weight": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="left"),
        ],
        "adversarial_radius": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "bound_rows": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "labeled_validation_fraction": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        *,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        max_grad_norm: float | None = None,
        max_time: float | None = None,
        precision: str = "float32",
        n_threads: int | None = None,
        compile: bool = False,
        distributed: str | bool = False,
        teacher_weight: float = 1.0,
        entropy_weight: float = 0.3,
        adversarial_weight: str | float = "auto",
        adversarial_radius: str | float = "auto",
        bound_rows: str | int | None = "auto",
        labeled_validation_fraction: float = 0.0,
    ) -> None:
        super().__init__(
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            max_grad_norm=max_grad_norm,
            max_time=max_time,
            precision=precision,
            n_threads=n_threads,
            compile=compile,
            distributed=distributed,
        )
        self.teacher_weight = teacher_weight
        self.entropy_weight = entropy_weight
        self.adversarial_weight = adversarial_weight
        self.adversarial_radius = adversarial_radius
        self.bound_rows = bound_rows
        self.labeled_validation_fraction = labeled_validation_fraction
