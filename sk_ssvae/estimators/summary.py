"""A readable record of a fit: the data, what was chosen, and how training went."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from sklearn import get_config

from sk_ssvae.estimators.summary_format import Entry, Table, as_html, as_text

__all__ = ["FitSummary"]

MAX_COLUMN_NAMES = 5
"""More columns of a kind are counted but not named."""

MAX_CLASSES = 12
"""More classes are counted but not listed."""

MAX_VIEWS = 5
"""Number of views of the teacher that are listed, those of largest weight."""

MAX_FOLDED = 100
"""Number of names of columns, classes or views that a notebook shows on request."""


@dataclass(frozen=True, kw_only=True, repr=False)
class FitSummary:
    """What a fitted estimator consists of, as attributes and as a short text.

    ``print(clf.summary())`` prints the text, a notebook shows a table with further
    details, and `to_dict` returns the attributes.

    Attributes
    ----------
    estimator : str
        Name of the class.
    model : str or None
        Name of the generative model.
    n_samples : int or None
        Number of rows of the last `fit`, without those of weight zero.
    n_features : int
        Number of columns.
    n_constant : int
        Number of columns that were constant, which the model leaves out.
    label_counts : dict of label to int, or None
        Number of labels of each class.
    likelihood : dict of str to list
        Names of the columns by likelihood, or their positions.
    shares_unit : bool or None
        Whether the Gaussian columns share a unit, which the inputs of the networks then
        keep. None if there are none.
    teacher : str or None
        Class of the teacher.
    view_weights, view_log_loss : dict of str to float
        Weights of the views of an `OpinionPoolClassifier`, largest first, and their
        log-loss on held-out labels. Empty for other teachers.
    class_prior, labeled_shares, unlabeled_shares : dict of label to float, or None
        p(y), the share of each class among the labels, and the mean of the
        probabilities that were predicted for the unlabelled rows.
    temperature : float or None
        T of `predict_proba`.
    n_epochs, max_epochs : int or None
        Number of epochs of the last `fit`, and the number that was planned.
    n_iter : int
        Number of epochs altogether.
    adversarial_weight, adversarial_radius : float or None
        Weight of virtual adversarial training, and the length of its perturbation; None
        if there is none.
    loss, bound : float or None
        Means over the last epoch, in nats per row.
    validation_bound : float or None
        Mean bound of held-out rows.
    fit_time : float or None
        Seconds of the last `fit`.
    device : str
        Device of the networks.
    choices : dict of str to str
        ``choices_``: what was chosen, and why, by name of the parameter.
    warnings : list of str or None
        Warnings that this package issued in the last `fit`.

    Notes
    -----
    None stands for what is not known: if the estimator has been trained by
    `partial_fit` only, or loaded from a file that was saved by a version without
    summaries, and for what an estimator without classes does not have.
    """

    estimator: str
    model: str | None
    n_samples: int | None
    n_features: int
    n_constant: int
    label_counts: dict[Any, int] | None
    likelihood: dict[str, list[Any]]
    shares_unit: bool | None
    teacher: str | None
    view_weights: dict[str, float]
    view_log_loss: dict[str, float]
    class_prior: dict[Any, float] | None
    labeled_shares: dict[Any, float] | None
    unlabeled_shares: dict[Any, float] | None
    temperature: float | None
    n_epochs: int | None
    max_epochs: int | None
    n_iter: int
    adversarial_weight: float | None
    adversarial_radius: float | None
    loss: float | None
    bound: float | None
    validation_bound: float | None
    fit_time: float | None
    device: str
    choices: dict[str, str]
    warnings: list[str] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        return as_text(self._title(), [*self._entries()])

    def _repr_html_(self) -> str | None:
        """Return a table for notebooks; None if scikit-learn's `display` is "text"."""
        if get_config()["display"] == "text":
            return None
        return as_html(self._title(), [*self._entries()])

    def _title(self) -> str:
        return self.estimator + (f" ({self.model})" if self.model else "")

    def _entries(self) -> Iterator[Entry]:
        """Yield all entries, in their order."""
        yield Entry("rows", self._rows())
        yield Entry("columns", self._columns())
        yield self._likelihood()
        if self.class_prior is not None:
            yield from self._classes(self.class_prior)
            yield self._teacher()
            for name, text in self._chosen().items():
                yield Entry(name, text)
        yield Entry("epochs", self._epochs())
        yield Entry("loss, bound", f"{_number(self.loss)}, {_number(self.bound)}")
        if self.validation_bound is not None:
            yield Entry("held-out bound", _number(self.validation_bound))
        seconds = "unknown" if self.fit_time is None else f"{self.fit_time:.1f} s"
        yield Entry("fit time", f"{seconds} on {self.device}")
        for text in self.warnings or []:
            yield Entry("warning", text)
        if self.choices:
            reasons = Table(
                "parameter", [*self.choices], {"choice": (self.choices, "")}
            )
            yield Entry("choices", "", more="all automatic choices", folded=reasons)

    def _rows(self) -> str:
        if self.n_samples is None:
            return "unknown"
        if self.label_counts is None:
            return str(self.n_samples)
        n_labels = sum(self.label_counts.values())
        return f"{self.n_samples}, {n_labels} with labels"

    def _columns(self) -> str:
        text = str(self.n_features)
        if self.n_constant:
            text += f", {self.n_constant} of them constant"
        if self.shares_unit is None:
            return text
        return text + (", in one unit" if self.shares_unit else ", in several units")

    def _likelihood(self) -> Entry:
        if len(self.likelihood) == 1:
            return Entry("likelihood", next(iter(self.likelihood)))
        parts, names = [], {}
        for kind, columns in self.likelihood.items():
            listed = str(len(columns))
            if len(columns) <= MAX_COLUMN_NAMES:
                listed += f" ({', '.join(map(str, columns))})"
            parts.append(f"{kind}: {listed}")
            names[kind] = ", ".join(map(str, columns[:MAX_FOLDED]))
            if len(columns) > MAX_FOLDED:
                names[kind] += f" and {len(columns) - MAX_FOLDED} more"
        table = Table("likelihood", [*names], {"columns": (names, "")})
        return Entry("likelihood", "; ".join(parts), more="all columns", folded=table)

    def _classes(self, prior: dict[Any, float]) -> Iterator[Entry]:
        """Yield how p(y) was chosen, with a table of the classes, or their number."""
        columns = {
            "labels": (self.label_counts, "d"),
            "share": (self.labeled_shares, ".3f"),
            "predicted": (self.unlabeled_shares, ".3f"),
            "prior": (prior, ".3f"),
        }
        chosen = self.choices.get("class_prior", "")
        if len(prior) <= MAX_CLASSES:
            yield Entry("class prior", chosen, Table("class", [*prior], columns))
            return
        yield Entry("class prior", chosen)
        text = str(len(prior))
        if self.label_counts is not None:
            counts = self.label_counts.values()
            text += f", with {min(counts)} to {max(counts)} labels each"
        shown = [*prior][:MAX_FOLDED]
        more = "all classes" if len(shown) == len(prior) else f"the first {len(shown)}"
        folded = Table("class", shown, columns)
        yield Entry("classes", text, more=more, folded=folded)

    def _teacher(self) -> Entry:
        """Return the teacher, with a table of its views."""
        text = self.teacher or "none"
        names = [*self.view_weights]
        if not names:
            return Entry("teacher", text)
        columns = {
            "weight": (self.view_weights, ".2f"),
            "log-loss": (self.view_log_loss or None, ".2f"),
        }
        table = Table("view", names[:MAX_VIEWS], columns)
        if len(names) <= MAX_VIEWS:
            return Entry("teacher", text, table)
        more = f"and {len(names) - MAX_VIEWS} more"
        folded = Table("view", names[MAX_VIEWS : MAX_VIEWS + MAX_FOLDED], columns)
        return Entry("teacher", text, table, more, folded)

    def _chosen(self) -> dict[str, str]:
        """Return the texts of temperature and adversarial training."""
        chosen = {
            "temperature": self.choices.get("temperature", f"{self.temperature:.3g}"),
            "adversarial": self.choices.get(
                "options__adversarial_weight", f"{self.adversarial_weight or 0:.3g}"
            ),
        }
        if self.adversarial_radius is not None:
            chosen["radius"] = self.choices.get(
                "options__adversarial_radius", f"{self.adversarial_radius:.3g}"
            )
        return chosen

    def _epochs(self) -> str:
        if self.n_epochs is None:
            return str(self.n_iter)
        text = f"{self.n_epochs} of {self.max_epochs}"
        return text if self.n_iter == self.n_epochs else f"{text}, {self.n_iter} in all"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
