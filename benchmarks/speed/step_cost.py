"""Operations, bytes and messages of a training step of M2, on paper.

Derived from `sk_ssvae.models.m2`, `sk_ssvae.training.loss`, `adversarial`, `sharding`
and `communication`, for a Gaussian likelihood and multi-layer perceptrons. The test
compares the operations with PyTorch's counter, which has to agree exactly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["CELL", "Product", "Step", "default_step"]

CELL = 4
"""Bytes of a number in single precision."""

N_TERMS = 7
"""Scalars that are summed with the gradients: the terms of the loss, and the scale of
the bound."""

# Element-wise operations: how often they read or write each cell of an array.
HIDDEN_PASSES = 6  # ReLU 2, its gradient 3, the gradient of the bias 1
PROBE_PASSES = 5  # the same without the bias
PAIR_PASSES = 4  # the sum of the two inputs of a first layer, and its gradients
LATENT_PASSES = 50  # normal distribution, draw and divergence, with their gradients
DENSITY_PASSES = 17  # log-density of a column, with its gradient
COLUMN_PASSES = 4  # gathering the rows and their scale
DIRECTION_PASSES = 27  # the adversarial direction: drawn, normalised twice, added
CLASS_PASSES = 70  # log-probabilities and the terms that depend on them
SHARED_PASSES = 3  # the sum of two gradients of a parameter that is used twice
MESSAGE_PASSES = (
    3  # the gradient is copied for the all-reduce, and received parts added
)
OPTIMIZER_PASSES = 8  # Adam reads 4 arrays and writes 3; one check of the gradient


@dataclass(frozen=True)
class Product:
    """A matrix product of shapes (m, k) and (k, n)."""

    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """Floating-point operations: one product and one sum for each of m k n."""
        return 2 * self.m * self.k * self.n

    @property
    def cells(self) -> int:
        """Numbers that are read and written once each."""
        return self.m * self.k + self.k * self.n + self.m * self.n


def layers(products, *, weights=True, inputs=True):
    """Yield the products of layers, and those of their gradients."""
    for rows, n_in, n_out, needs_input_gradient in products:
        yield Product(rows, n_in, n_out)
        if weights:
            yield Product(n_out, rows, n_in)
        if inputs and needs_input_gradient:
            yield Product(rows, n_out, n_in)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A training step of M2 in one of the processes.

    Parameters
    ----------
    labelled, unlabelled : int
        Rows of a minibatch in all processes together.
    bound_rows : int
        Unlabelled rows of the minibatch whose bound is computed.
    columns, classes, latent : int
        Columns (inputs of the networks), classes and latent dimensions.
    hidden, classifier_hidden : tuple of int
        Widths of the hidden layers.
    summed : int, default=None
        Classes that are summed for a row: all by default, or k + 1 if the sum over the
        others is estimated.
    adversarial : bool
        Whether there is virtual adversarial training.
    processes : int
        Number of processes. The step is that of process 0, which has most rows.
    """

    labelled: int
    unlabelled: int
    bound_rows: int
    columns: int
    classes: int
    latent: int = 10
    hidden: tuple[int, ...] = (128,)
    classifier_hidden: tuple[int, ...] = (200, 200)
    summed: int | None = None
    adversarial: bool = True
    processes: int = 1

    def _share(self, first: int, n: int) -> int:
        """Return how many of the rows from `first` to `first + n` process 0 has."""
        w = self.processes
        return math.ceil((first + n) / w) - math.ceil(first / w)

    @property
    def rows(self) -> int:
        """Rows of the minibatch in this process."""
        return self._share(0, self.labelled + self.unlabelled)

    @property
    def _n(self) -> int:
        return self._share(0, self.labelled)

    @property
    def _b(self) -> int:
        return self._share(self.labelled, min(self.bound_rows, self.unlabelled))

    @property
    def pairs(self) -> int:
        """Pairs of a row and a class that encoder and decoder compute."""
        summed = self.classes if self.summed is None else self.summed
        return self._n + self._b * summed

    def _classifier(self) -> list[tuple[int, int]]:
        return [*pairwise([self.columns, *self.classifier_hidden, self.classes])]

    def _encoder(self) -> list[tuple[int, int]]:
        return [*pairwise([*self.hidden, 2 * self.latent])]

    def _decoder(self) -> list[tuple[int, int]]:
        return [*pairwise([*self.hidden[::-1], self.columns])]

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        dense = [*self._classifier(), *self._encoder(), *self._decoder()]
        first = (self.columns + self.classes + 1) * self.hidden[0]
        last = (self.latent + self.classes + 1) * self.hidden[-1]
        scales = self.columns  # of the likelihood
        return sum((i + 1) * o for i, o in dense) + first + last + scales

    def products(self) -> Iterator[Product]:
        """Yield the matrix products of the step."""
        net = [
            (self.rows, i, o, bool(layer))
            for layer, (i, o) in enumerate(self._classifier())
        ]
        yield from layers(net)
        if self.adversarial:
            # The gradient for the rows alone, and a pass with perturbed rows.
            yield from layers([(*p[:3], True) for p in net], weights=False)
            yield from layers(net)
        n, b, r = self._n, self._b, self.pairs
        first, last = self.hidden[0], self.hidden[-1]
        # Encoder: a row is multiplied once, a class only if it is a label.
        yield from layers([(n, self.columns, first, False)])
        yield from layers([(b, self.columns, first, False)])
        yield from layers([(n, self.classes, first, False)])
        # Decoder: z differs between the classes of a row.
        yield from layers([(n, self.latent, last, True)])
        yield from layers([(r - n, self.latent, last, True)])
        yield from layers([(n, self.classes, last, False)])
        for i, o in [*self._encoder(), *self._decoder()]:
            yield from layers([(n, i, o, True), (r - n, i, o, True)])

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products."""
        return sum(product.flops for product in self.products())

    @property
    def product_bytes(self) -> int:
        """Bytes of the matrices, each read or written once per product."""
        return CELL * sum(product.cells for product in self.products())

    @property
    def elementwise_bytes(self) -> int:
        """Bytes that element-wise operations read and write, without the optimizer."""
        n, r = self.rows, self.pairs
        hidden = sum(self.classifier_hidden)
        cells = HIDDEN_PASSES * n * hidden
        cells += COLUMN_PASSES * n * self.columns
        if self.adversarial:
            cells += (HIDDEN_PASSES + PROBE_PASSES) * n * hidden
            cells += DIRECTION_PASSES * n * self.columns
        cells += 2 * HIDDEN_PASSES * r * sum(self.hidden)
        cells += PAIR_PASSES * r * (self.hidden[0] + self.hidden[-1])
        cells += LATENT_PASSES * r * self.latent
        cells += DENSITY_PASSES * r * self.columns
        cells += CLASS_PASSES * n * self.classes
        classifier = sum((i + 1) * o for i, o in self._classifier())
        shared = self.parameters - classifier * (not self.adversarial)
        return CELL * (cells + SHARED_PASSES * shared)

    @property
    def optimizer_bytes(self) -> int:
        """Bytes of a step of the optimizer, which each process takes as a whole."""
        return CELL * OPTIMIZER_PASSES * self.parameters

    @property
    def bytes(self) -> int:
        """Bytes that the step reads and writes, if nothing stays in a cache."""
        message = MESSAGE_PASSES * CELL * self.parameters * (self.processes > 1)
        own = self.product_bytes + self.elementwise_bytes
        return own + self.optimizer_bytes + message

    @property
    def draws(self) -> int:
        """Normal draws: every process makes those of the whole minibatch."""
        each = self.latent + self.columns * self.adversarial
        return (self.labelled + self.unlabelled) * each

    @property
    def messages(self) -> int:
        """Messages that a process sends in the all-reduce, in a ring."""
        return 2 * (self.processes - 1)

    @property
    def sent_bytes(self) -> float:
        """Bytes that a process sends in the all-reduce."""
        share = (self.processes - 1) / self.processes
        return 2 * share * CELL * (self.parameters + N_TERMS)

    def divided(self, processes: int) -> "Step":
        """Return the same step by a number of processes."""
        return replace(self, processes=processes)


def default_step(n_rows, n_labelled, batch_size, columns, classes, **changes) -> Step:
    """Return a step of `SSVAEClassifier` with its defaults.

    The numbers of rows are those of `sk_ssvae.training.batches.MixedBatches`, and
    `bound_rows` and the classes that are summed those of
    `sk_ssvae.training.marginalization`.

    Parameters
    ----------
    n_rows, n_labelled : int
        Training rows, and those that have labels.
    batch_size, columns, classes : int
        Rows of a minibatch before labels are added, columns and classes.
    **changes
        Arguments of `Step`. `bound_rows` may be "auto" or None for all.
    """
    from sk_ssvae.training.marginalization import resolve_bound_rows, resolve_top_k

    size = min(batch_size, n_rows)
    n_per_pass = math.ceil(n_rows / size)
    labelled = max(math.ceil(n_labelled / n_per_pass), math.ceil(size / 4))
    labelled = min(n_labelled, labelled)
    unlabelled = math.ceil((n_rows - n_labelled) / n_per_pass)
    top_k = resolve_top_k("auto", classes)
    summed = None if top_k is None else top_k + 1
    bound_rows = resolve_bound_rows(
        changes.pop("bound_rows", "auto"), summed or classes, columns
    )
    return Step(
        labelled=labelled,
        unlabelled=unlabelled,
        bound_rows=unlabelled if bound_rows is None else min(bound_rows, unlabelled),
        columns=columns,
        classes=classes,
        summed=summed,
        **changes,
    )
