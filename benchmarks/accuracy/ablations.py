"""Variants of the default `SSVAEClassifier`, each with one change.

    python -m benchmarks accuracy.panel --ablations --jobs 1 --seeds 0
    python -m benchmarks accuracy.ablation_report

The variants are methods of the accuracy panel. Variants that differ only in the network
share a fitted teacher, provided that they run consecutively in one process
(``--jobs 1``); their run times are therefore meaningless. "pool alone" is the teacher
of the default with the same seed.
"""

from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from typing import Any, NamedTuple
from unittest import mock

from sklearn.base import BaseEstimator, ClassifierMixin, clone

__all__ = ["VARIANTS", "Variant", "make_variant", "runnable_variants"]

GRAPHS = ("columns", "unscaled", "min-max", "ranks", "pca-4", "pca-8", "pca-16")
MODELS = ("logistic", "svm", "forest")
LATENT = ("latent-gaussian", "latent-bernoulli")
GUIDED = ("whitened", "discriminant")


class Variant(NamedTuple):
    """What a variant changes.

    Attributes
    ----------
    meaning : str
        Description in the table.
    network : dict
        Parameters of `SSVAEClassifier`.
    options : dict
        Parameters of `sk_ssvae.training.ClassifierOptions`.
    model : callable or None
        Returns the parameter `model` of `SSVAEClassifier`.
    pool : dict
        Parameters of `OpinionPoolClassifier`.
    without, added : tuple of str
        Views that are left out of the pool, and that join it.
    constants : dict
        Values of constants and functions of the package by their qualified names.
    formulation : str or None
        Name of a class in `formulations`.
    formulation_parameters : dict
        Parameters of that class.
    pool_alone : bool
        The pool is measured without the network.
    recorded_only : bool
        The variant is in recorded results only, and cannot be run any more.
    """

    meaning: str
    network: dict[str, Any] = {}
    options: dict[str, Any] = {}
    model: Callable[[], Any] | None = None
    pool: dict[str, Any] = {}
    without: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    constants: dict[str, Any] = {}
    formulation: str | None = None
    formulation_parameters: dict[str, Any] = {}
    pool_alone: bool = False
    recorded_only: bool = False


def equal_confidence(soft_targets):
    """Return 1 for rows with soft targets, and 0 for the others."""
    return soft_targets.sum(axis=1)


def no_shared_unit(deviations, varies=None):
    """Return None: the columns do not share a unit."""
    return None


NO_BOUND = {"alpha": 1e4}
STANDARDISED_INPUTS = {"sk_ssvae.data.layout.relative_deviations": no_shared_unit}
STANDARDISED_VIEWS = {"sk_ssvae.teachers.blocks.relative_deviations": no_shared_unit}
NO_ADVERSARIAL = {"adversarial_weight": 0.0}


def finetuned_m1m2():
    """Return the model M1+M2 with 20 epochs of joint training."""
    from sk_ssvae.models import M1M2

    return M1M2(finetune_epochs=20)


VARIANTS = {
    "default": Variant("nothing is changed"),
    "no teacher": Variant("`teacher=None`", {"teacher": None}),
    "no bound": Variant("the bound has no say in q(y given x), `alpha=1e4`", NO_BOUND),
    "as few columns": Variant(
        "`alpha=30` and the larger steps of few columns",
        {"alpha": 30.0},
        constants={"sk_ssvae.training.learning_rates.MANY_COLUMNS": 10**9},
    ),
    "no adversarial": Variant("`adversarial_weight=0`", options=NO_ADVERSARIAL),
    "always adversarial": Variant(
        "`adversarial_weight=1`, for any effective dimension or kurtosis",
        options={"adversarial_weight": 1.0},
    ),
    "standardised inputs": Variant(
        "as no adversarial, and columns that share a unit are standardised for the "
        "networks",
        options=NO_ADVERSARIAL,
        constants=STANDARDISED_INPUTS,
    ),
    "equal confidence": Variant(
        "soft targets of all rows have the same weight",
        constants={"sk_ssvae.estimators.base.confidence": equal_confidence},
    ),
    "no entropy": Variant("`entropy_weight=0`", options={"entropy_weight": 0.0}),
    "uniform prior": Variant('`class_prior="uniform"`', {"class_prior": "uniform"}),
    "small classifier": Variant(
        "`classifier_hidden_sizes=None`: as the other networks",
        {"classifier_hidden_sizes": None},
    ),
    "all bounds": Variant(
        "`bound_rows=None`: the bound of all rows of a minibatch",
        options={"bound_rows": None},
    ),
    "pool alone": Variant("the teacher without the network", pool_alone=True),
    "pool, standardised": Variant(
        "the teacher alone, with all columns standardised for its views",
        constants=STANDARDISED_VIEWS,
        pool_alone=True,
    ),
    "pool, both": Variant(
        "an earlier teacher alone, its graphs with the mean of both", recorded_only=True
    ),
    "pool, spreading": Variant(
        "an earlier teacher alone, its graphs with label spreading", recorded_only=True
    ),
    "pool, harmonic": Variant(
        "an earlier teacher alone, its graphs with harmonic functions",
        recorded_only=True,
    ),
    "no normalisation": Variant(
        "no batch normalisation in the classifier, as is the default now",
        recorded_only=True,
    ),
    "constant rate": Variant(
        "learning rates do not fall",
        constants={"sk_ssvae.training.learning_rates.DECAY": 1e-9},
    ),
    "twice the steps": Variant(
        "twice the number of training steps",
        constants={
            "sk_ssvae.training.batches.LARGE_STEP_EPOCHS": 40,
            "sk_ssvae.training.batches.TAUGHT_MIN_BATCHES": 1000,
        },
    ),
    "few epochs": Variant('`max_epochs="few"`', {"max_epochs": "few"}),
    "many epochs": Variant('`max_epochs="many"`', {"max_epochs": "many"}),
    "smaller steps": Variant(
        "30 epochs and one learning rate, which falls for the classifier only",
        constants={"sk_ssvae.models.m2.M2.takes_large_steps": False},
    ),
    "latent views": Variant(
        "graphs of latent means also below 10,000 rows", added=LATENT
    ),
    "no latent views": Variant(
        "no graphs of latent means (from 10,000 rows on)", without=LATENT
    ),
    "nothing deep generative": Variant(
        "neither those nor the bound's say", NO_BOUND, without=LATENT
    ),
    "logistic view": Variant("logistic regression as a view", added=("logistic",)),
    "no guided views": Variant("no whitened and discriminant space", without=GUIDED),
    "no plain graphs": Variant(
        "no graphs of columns or principal components", without=GRAPHS
    ),
    "no graphs": Variant("no graph at all", without=GRAPHS + LATENT + GUIDED),
    "no classifiers": Variant("no SVM, forest", without=MODELS),
    "no linear model": Variant(
        "no linear generative model", without=("linear-generative",)
    ),
    "labelled shares": Variant(
        "classes as frequent as among the labels", pool={"shares": "labelled"}
    ),
    "two latents": Variant(
        "`latent_size=2`: what z cannot carry, y must", {"latent_size": 2}
    ),
    "by the bound": Variant(
        "Bayes' rule with the bounds", formulation="BayesRuleClassifier"
    ),
    "by bound and classifier": Variant(
        "the mean of that and q(y given x)",
        formulation="BayesRuleClassifier",
        formulation_parameters={"averaged": True},
    ),
    "class priors": Variant(
        "a prior of z for each class (VaDE)", formulation="ClassPriors"
    ),
    "class priors, graph": Variant(
        "a graph of its latent means, times the guess",
        formulation="ClassPriors",
        formulation_parameters={"graph": True},
    ),
    "m1+m2": Variant('`model="m1+m2", finetune_epochs=20`', model=finetuned_m1m2),
    "sdgm": Variant('`model="sdgm"`', {"model": "sdgm"}),
    "adgm": Variant('`model="adgm"`', {"model": "adgm"}),
    "adversarial": Variant(
        "`adversarial_weight=1`, a radius of 1",
        options={"adversarial_weight": 1.0, "adversarial_radius": 1.0},
    ),
}
"""Variants by name, in the order of the table."""


def runnable_variants():
    """Return the names of the variants that can still be run."""
    return [name for name, variant in VARIANTS.items() if not variant.recorded_only]


class CachedPool(ClassifierMixin, BaseEstimator):
    """Opinion pool without some views, which reuses the last fits to the same data.

    Parameters
    ----------
    pool : OpinionPoolClassifier
    without, added : tuple of str
        Views to leave out, and to add to the others.
    variant : str
        A name that pools have in common if they have the same constants.
    """

    _last: dict[str, Any] = {}
    """The last two pools: a default one, and the same with other views."""

    def __init__(self, pool, without=(), added=(), variant=""):
        self.pool = pool
        self.without = without
        self.added = added
        self.variant = variant

    def fit(self, X, y):
        """Fit the pool, unless the last fit had the same parameters and data."""
        fitted = self._fitted(X, y, clone(self.pool), self.variant)
        if self.without or self.added:
            # The names of the default views depend on the rows.
            views = [view for view in fitted.weights_ if view not in self.without]
            views += self.added
            pool = clone(self.pool).set_params(views=views)
            fitted = self._fitted(X, y, pool, self.variant)
        self.pool_ = fitted
        self.classes_ = fitted.classes_
        self.label_distributions_ = fitted.label_distributions_
        self.transduction_ = fitted.transduction_
        self.class_shares_ = fitted.class_shares_
        return self

    @classmethod
    def _fitted(cls, X, y, pool, variant):
        """Return one of the last two pools, if it is the same, else fit this one."""
        parameters = repr((pool.get_params(), variant)).encode()
        key = sha256(parameters + X.tobytes() + y.tobytes()).hexdigest()
        fitted = cls._last.pop(key, None) or pool.fit(X, y)
        while len(cls._last) > 1:
            del cls._last[next(iter(cls._last))]
        cls._last[key] = fitted
        return fitted

    def predict(self, X):
        """Predict classes."""
        return self.pool_.predict(X)

    def predict_proba(self, X):
        """Predict probabilities."""
        return self.pool_.predict_proba(X)


class WithConstants(ClassifierMixin, BaseEstimator):
    """An estimator that is fitted while constants of the package have other values.

    Parameters
    ----------
    estimator : estimator
        Unfitted.
    constants : dict
        Values by qualified names.
    """

    def __init__(self, estimator, constants):
        self.estimator = estimator
        self.constants = constants

    def fit(self, X, y):
        """Fit the estimator."""
        with ExitStack() as stack:
            for name, value in self.constants.items():
                stack.enter_context(mock.patch(name, value))
            self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        return self

    def __getattr__(self, name):
        """Return an attribute of the fitted estimator."""
        if name == "estimator_":
            raise AttributeError(name)
        return getattr(self.estimator_, name)


def make_variant(name, seed):
    """Return an unfitted estimator for a variant.

    Parameters
    ----------
    name : str
        One of `runnable_variants()`.
    seed : int
        Random state.
    """
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
    from sk_ssvae.teachers.classifiers import set_random_states
    from sk_ssvae.training import ClassifierOptions
    from sk_ssvae.utils.random import draw_seed

    variant = VARIANTS[name]
    pool = OpinionPoolClassifier(**variant.pool)
    changes_pool = any(c.startswith("sk_ssvae.teachers") for c in variant.constants)
    teacher = CachedPool(
        pool, variant.without, variant.added, name if changes_pool else ""
    )
    if variant.pool_alone:
        # As the teacher of the network with the same seed.
        set_random_states(teacher, draw_seed(seed))
        return WithConstants(teacher, variant.constants)
    if variant.formulation is not None:
        from benchmarks.accuracy import formulations

        make = getattr(formulations, variant.formulation)
        return make(teacher, seed, **variant.formulation_parameters)
    parameters = {
        "teacher": teacher,
        "options": ClassifierOptions(**variant.options),
        "random_state": seed,
    }
    if variant.model is not None:
        parameters["model"] = variant.model()
    model = SSVAEClassifier(**(parameters | variant.network))
    return WithConstants(model, variant.constants) if variant.constants else model
