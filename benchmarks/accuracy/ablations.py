"""The default of `SSVAEClassifier` with one thing changed at a time.

    python benchmarks/panel.py --jobs 1 --seeds 0 --methods ours "no bound" ...
    python benchmarks/ablation_report.py benchmarks/results/panel.json

They are methods of the panel. Variants that differ in the network alone share the
teacher's answer, worked out once a split, as long as they run in one process one after
another (``--jobs 1``); their seconds therefore mean nothing.
"""

from hashlib import sha256
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator, ClassifierMixin, clone

__all__ = ["VARIANTS", "Variant", "variant"]

GRAPHS = ("columns", "min-max", "ranks", "pca-4", "pca-8", "pca-16")
MODELS = ("logistic", "svm", "forest")
LATENT = ("latent-gaussian", "latent-bernoulli")
GUIDED = ("whitened", "discriminant")


class Variant(NamedTuple):
    """What is changed: parameters of the network, of the pool, and views left out.

    Or the name of one of `formulations`, and its parameters.
    """

    meaning: str
    network: dict[str, Any] = {}
    pool: dict[str, Any] = {}
    without: tuple[str, ...] = ()
    make: str | None = None
    made_with: dict[str, Any] = {}


NO_BOUND = {"alpha": 1e4}
POOL_ALONE = "pool alone"

VARIANTS = {
    "default": Variant("nothing is changed"),
    "no teacher": Variant("`teacher=None`", {"teacher": None}),
    "no bound": Variant("the bound has no say in q(y given x), `alpha=1e4`", NO_BOUND),
    "no entropy": Variant("`entropy_weight=0`", {"entropy_weight": 0.0}),
    "no balance": Variant("`balance_weight=0`", {"balance_weight": 0.0}),
    "uniform prior": Variant('`class_prior="uniform"`', {"class_prior": "uniform"}),
    "small classifier": Variant(
        "`classifier_hidden_sizes=None`: as the other networks",
        {"classifier_hidden_sizes": None},
    ),
    "all bounds": Variant(
        "`bound_rows=None`: the bound of all rows of a minibatch", {"bound_rows": None}
    ),
    POOL_ALONE: Variant("the teacher without the network"),
    "no latent views": Variant("no graphs of latent means", without=LATENT),
    "nothing deep generative": Variant(
        "neither those nor the bound's say", NO_BOUND, without=LATENT
    ),
    "no guided views": Variant("no whitened and discriminant space", without=GUIDED),
    "no plain graphs": Variant(
        "no graphs of columns or principal components", without=GRAPHS
    ),
    "no graphs": Variant("no graph at all", without=GRAPHS + LATENT + GUIDED),
    "no classifiers": Variant("no logistic regression, SVM, forest", without=MODELS),
    "no linear model": Variant(
        "no linear generative model", without=("linear-generative",)
    ),
    "labelled shares": Variant(
        "classes as frequent as among the labels", pool={"shares": "labelled"}
    ),
    "two latents": Variant(
        "`latent_size=2`: what z cannot carry, y must", {"latent_size": 2}
    ),
    "by the bound": Variant("Bayes' rule with the bounds", make="ByTheBound"),
    "by bound and classifier": Variant(
        "the mean of that and q(y given x)",
        make="ByTheBound",
        made_with={"averaged": True},
    ),
    "class priors": Variant("a prior of z for each class (VaDE)", make="ClassPriors"),
    "class priors, graph": Variant(
        "label spreading on its latent means, times the guess",
        make="ClassPriors",
        made_with={"graph": True},
    ),
    "m1+m2": Variant(
        '`model="m1+m2", finetune_epochs=20`', {"model": "m1+m2", "finetune_epochs": 20}
    ),
    "sdgm": Variant('`model="sdgm"`', {"model": "sdgm"}),
    "adgm": Variant('`model="adgm"`', {"model": "adgm"}),
    "adversarial": Variant(
        "`adversarial_weight=1`, a radius of 1", {"adversarial_weight": 1.0}
    ),
}
"""By name."""


class Remembering(ClassifierMixin, BaseEstimator):
    """The pool, less some views, not fitted twice in a row to the same rows."""

    _last: tuple[str, Any] = ("", None)

    def __init__(self, pool, without=()):
        self.pool = pool
        self.without = without

    def fit(self, X, y):
        """Fit, or remember."""
        asked = repr((self.pool.get_params(), self.without)).encode()
        key = sha256(asked + X.tobytes() + y.tobytes()).hexdigest()
        if Remembering._last[0] != key:
            pool = clone(self.pool)
            if self.without:
                pool.set_params(views=self._views(X.shape[1]))
            Remembering._last = key, pool.fit(X, y)
        fitted = Remembering._last[1]
        self.classes_ = fitted.classes_
        self.label_distributions_ = fitted.label_distributions_
        return self

    def _views(self, n_features):
        """Name the views of the default but for some."""
        from sk_ssvae.teachers.registry import GUIDED, OWN

        return [
            view
            for view in (*OWN, *GUIDED)
            if view not in self.without
            and not (view.startswith("pca-") and int(view[4:]) >= n_features)
        ]

    def predict(self, X):
        """Ask what was fitted."""
        return Remembering._last[1].predict(X)

    def predict_proba(self, X):
        """Ask what was fitted."""
        return Remembering._last[1].predict_proba(X)


def variant(name, seed):
    """Return an estimator, by the name of its variant."""
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier

    if name == POOL_ALONE:
        return OpinionPoolClassifier(random_state=seed)
    what = VARIANTS[name]
    teacher = Remembering(OpinionPoolClassifier(**what.pool), what.without)
    if what.make is not None:
        import formulations

        return getattr(formulations, what.make)(teacher, seed, **what.made_with)
    parameters = {"teacher": teacher, "random_state": seed} | what.network
    return SSVAEClassifier(**parameters)
