"""The parameter `views` of the opinion pool: names, and classifiers of the user.

The classifiers have names, by which `get_params` and `set_params` reach them as those
of scikit-learn's `VotingClassifier`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier

from sk_ssvae.teachers.classifiers import last_step

__all__ = ["ClassifierEntry", "ViewEntry", "WithNamedViews", "read_entries"]

ViewEntry: TypeAlias = str | tuple[str, Any] | tuple[str, Any, str]
"""Type of an entry of `views`."""

DROPPED = "drop"
"""Instead of a classifier: the view is left out."""

SEMI_SUPERVISED = ("sklearn.semi_supervised.", "sk_ssvae.")
"""Starts of the names of modules whose classifiers are fitted to all rows."""


class ClassifierEntry(NamedTuple):
    """A classifier of the user that is a view.

    Attributes
    ----------
    name : str
        Its name.
    classifier : estimator
        The user's object. It is neither fitted nor changed.
    rows : {"labelled", "all"}
        Whether it is fitted to the labelled rows, or to all of them, with the label -1
        for the unlabelled ones.
    """

    name: str
    classifier: Any
    rows: str


def _is_named(entry: Any) -> bool:
    """Return whether an entry has the form of a name with a classifier."""
    return (
        isinstance(entry, (tuple, list))
        and len(entry) in (2, 3)
        and isinstance(entry[0], str)
    )


def _is_semi_supervised(classifier: Any) -> bool:
    """Return whether a classifier is known to take -1 for unlabelled rows."""
    return any(
        f"{kind.__module__}.".startswith(SEMI_SUPERVISED)
        for kind in type(last_step(classifier)).__mro__
    )


def read_entries(
    views: Sequence[ViewEntry], built_in: Iterable[str], parameters: Iterable[str]
) -> tuple[list[str], dict[str, ClassifierEntry]]:
    """Validate the entries of `views`, except for the names of built-in views.

    Parameters
    ----------
    views : sequence
        Names of built-in views, pairs ``(name, classifier)``, and triples
        ``(name, classifier, "labelled")`` or ``(name, classifier, "all")``.
    built_in : iterable of str
        Names of all built-in views.
    parameters : iterable of str
        Names of the parameters of the pool.

    Returns
    -------
    names : list of str
        All names, in the order of `views`, without those that are dropped.
    classifiers : dict of str to ClassifierEntry
        The classifiers by their names.

    Raises
    ------
    TypeError, ValueError
        If an entry is invalid. The message says which one, and what to pass.
    """
    if isinstance(views, np.ndarray) and views.ndim != 1:
        raise ValueError(
            f"views must be one-dimensional, got {views!r} with {views.ndim} "
            "dimensions."
        )
    names: list[str] = []
    classifiers: dict[str, ClassifierEntry] = {}
    entries = [*views]
    for entry in entries:
        if isinstance(entry, str):
            names.append(entry)
        elif not _is_named(entry):
            raise ValueError(
                "views must contain names of views, and pairs of a name and a "
                f"classifier, got {entry!r}."
            )
        elif not (isinstance(entry[1], str) and entry[1] == DROPPED):
            names.append(entry[0])
            classifiers[entry[0]] = _read_classifier(*entry)
    named = [entry[0] for entry in entries if _is_named(entry)]
    named += [name for name in set(named) if name in entries]  # without a classifier
    _check_names(named, built_in, parameters)
    return names, classifiers


def _check_names(
    names: Sequence[str], built_in: Iterable[str], parameters: Iterable[str]
) -> None:
    """Raise a ValueError if classifiers could not be told from each other by name."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(
            f"Names of classifiers in views must be unique, but {repeated} occur "
            "repeatedly. Rename all but one of each."
        )
    if "" in names:
        raise ValueError(
            "Names of classifiers in views must not be empty. Give each a name."
        )
    nested = [name for name in names if "__" in name]
    if nested:
        raise ValueError(
            f"Names of classifiers in views must not contain __, got {nested}: "
            "set_params could not tell them from nested parameters."
        )
    for others, kind in (
        (parameters, "parameters of OpinionPoolClassifier"),
        (built_in, "names of built-in views"),
    ):
        taken = sorted(set(names) & set(others))
        if taken:
            raise ValueError(
                f"Names of classifiers in views must differ from {kind}, got {taken}. "
                "Rename them."
            )


def _read_classifier(
    name: str, classifier: Any, rows: Any = None, /
) -> ClassifierEntry:
    """Validate a classifier of the user."""
    if isinstance(classifier, type):
        raise TypeError(
            f"views must contain instances of classifiers, but {name!r} is the class "
            f"{classifier.__name__}. Pass ({name!r}, {classifier.__name__}())."
        )
    if not hasattr(classifier, "__sklearn_tags__") or not is_classifier(classifier):
        raise TypeError(
            f"The view {name!r} must be a scikit-learn classifier or {DROPPED!r}, got "
            f"{classifier!r}."
        )
    if rows is None:
        rows = "all" if _is_semi_supervised(classifier) else "labelled"
    if not isinstance(rows, str) or rows not in ("labelled", "all"):
        raise ValueError(
            f"The third element of the view {name!r} must be 'labelled' or 'all', the "
            f"rows that its classifier is fitted to, got {rows!r}."
        )
    return ClassifierEntry(name, classifier, rows)


class WithNamedViews(BaseEstimator):
    """Estimator whose parameter `views` contains named classifiers.

    They are parameters of the estimator: ``hgb`` and ``hgb__max_iter`` for an entry
    ``("hgb", HistGradientBoostingClassifier())``.
    """

    views: Sequence[ViewEntry] | None

    def _named_views(self) -> Iterator[tuple[str, Any]]:
        """Yield names and classifiers of `views`, which need not be valid."""
        try:
            entries = [] if self.views is None else [*self.views]
        except (TypeError, ValueError):
            return
        own = super().get_params(deep=False)
        for entry in entries:
            if _is_named(entry) and entry[0] not in own:
                yield entry[0], entry[1]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the classifiers in `views` by their names, and their
            parameters.

        Returns
        -------
        params : dict of str to object
            Values by name: ``views``, ``hgb``, ``hgb__max_iter`` and so on.
        """
        params: dict[str, Any] = super().get_params(deep)
        for name, classifier in self._named_views() if deep else ():
            params[name] = classifier
            if _has_parameters(classifier):
                own = classifier.get_params(deep=True)
                params |= {f"{name}__{key}": value for key, value in own.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including the classifiers in `views` and their parameters.

        Parameters
        ----------
        **params : dict
            Values by name: ``max_rows``, ``hgb`` and ``hgb__max_iter`` for a classifier
            in `views` that is named "hgb". It is replaced by ``hgb=...``, left out by
            ``hgb="drop"``, and its parameters are changed in place.

        Returns
        -------
        self : estimator
            This estimator.

        Raises
        ------
        ValueError
            If a name is unknown. Parameters of this estimator are then unchanged.
        """
        before = self.__dict__.copy()
        try:
            if "views" in params:
                super().set_params(views=params.pop("views"))
            named = dict(self._named_views())
            replaced = {name: params.pop(name) for name in named if name in params}
            if replaced:
                assert self.views is not None  # it has the named views
                self.views = [_replaced(entry, replaced) for entry in self.views]
            self._check_nested(params)
            super().set_params(**params)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _check_nested(self, params: Mapping[str, Any]) -> None:
        """Raise a ValueError if a parameter of a view does not exist.

        It is raised before any is changed.
        """
        named = dict(self._named_views())
        by_view: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, nested, own = key.partition("__")
            if not nested or name not in named:
                continue
            if not _has_parameters(named[name]):
                raise ValueError(
                    f"Invalid parameter {key!r} for estimator {type(self).__name__}: "
                    f"the view {name!r} is {named[name]!r}, which has no parameters. "
                    f"Set {name} to a classifier first."
                )
            by_view.setdefault(name, {})[own] = value
        for name, own_params in by_view.items():
            clone(named[name]).set_params(**own_params)  # raises the classifier's error


def _replaced(entry: Any, classifiers: dict[str, Any]) -> Any:
    """Return an entry with its classifier replaced, if it is among `classifiers`."""
    if not _is_named(entry) or entry[0] not in classifiers:
        return entry
    return (entry[0], classifiers[entry[0]], *entry[2:])


def _has_parameters(classifier: Any) -> bool:
    """Return whether an object has parameters that can be read and set."""
    return not isinstance(classifier, type) and hasattr(classifier, "get_params")
