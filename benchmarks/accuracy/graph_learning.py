"""Graph learning of the package graphlearning: Laplace, Poisson and Poisson-MBO.

J. Calder, B. Cook, M. Thorpe and D. Slepcev, "Poisson learning: graph based
semi-supervised learning at very low label rates", ICML 2020. The package has no
predictions for new rows, so its graph has the held-out rows as further unlabelled rows.
The graph is the package's own: ten nearest neighbours with Gaussian weights. Neighbours
are exact (the package's default from six columns on is approximate search by annoy).
Parameters are the package's defaults, with one exception: conjugate gradients do not
converge for Poisson learning on a graph in several parts, which is then solved by
gradient descent, another option of the package. Poisson-MBO learning is told the true
number of rows of each class.
"""

import time

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from benchmarks.accuracy.panel_references import Predictions

__all__ = ["METHODS"]

N_NEIGHBOURS = 10


def neighbour_graph(X):
    """Return the weights of the graph, a sparse matrix."""
    from graphlearning import weightmatrix

    # k neighbours besides the row itself, which is the first of its own neighbours.
    search = NearestNeighbors(n_neighbors=N_NEIGHBOURS).fit(X)
    distance, neighbours = search.kneighbors()
    rows = np.arange(len(X))[:, None]
    distance = np.hstack([np.zeros_like(rows), distance])
    # Among identical rows the package would divide 0 by 0.
    distance[:, -1] = np.maximum(distance[:, -1], np.finfo(np.float32).tiny)
    found = np.hstack([rows, neighbours]), distance.astype(np.float64)
    return weightmatrix.knn(X, N_NEIGHBOURS, knn_data=found)


def laplace(weights, class_sizes):
    """Return Laplace learning on a graph."""
    from graphlearning import ssl

    return ssl.laplace(weights)


def poisson(weights, class_sizes):
    """Return Poisson learning on a graph."""
    from graphlearning import ssl

    return ssl.poisson(weights, solver=poisson_solver(weights))


def poisson_mbo(weights, class_sizes):
    """Return Poisson-MBO learning on a graph, with the sizes of the classes."""
    from graphlearning import ssl

    return ssl.poisson_mbo(weights, class_sizes, solver=poisson_solver(weights))


def poisson_solver(weights):
    """Return the solver of Poisson's equation; the default unless it diverges."""
    n_parts, _ = connected_components(weights, directed=False)
    return "conjugate_gradient" if n_parts == 1 else "gradient_descent"


def method(make):
    """Return a function from a split to predictions."""

    def predict(split):
        start = time.perf_counter()
        n = len(split.y_train)
        weights = neighbour_graph(np.concatenate([split.X_train, split.X_test]))
        class_sizes = np.bincount(np.concatenate([split.y_train, split.y_test]))
        labelled = np.flatnonzero(split.y_few >= 0)
        model = make(weights, class_sizes)
        with np.errstate(all="ignore"):
            classes = model.fit_predict(labelled, split.y_few[labelled])
        seconds = time.perf_counter() - start
        return Predictions(classes[:n], classes[n:], None, seconds, 0.0)

    return predict


METHODS = {
    "gl_laplace": method(laplace),
    "gl_poisson": method(poisson),
    "gl_poisson_mbo": method(poisson_mbo),
}
"""Functions from a split to predictions, by name."""
