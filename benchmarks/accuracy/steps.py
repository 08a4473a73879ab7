"""Number of training steps of the default: accuracy, density and time.

    python -m benchmarks accuracy.steps --rows 200 --seeds 0 1
    python -m benchmarks accuracy.steps --rows 3500
    python -m benchmarks accuracy.steps --rows 3500 --sets sc_pbmc4k webkb4 --others 1 2

Trains `SSVAEClassifier` with multiples of the number of steps that 60 epochs, and at
least 1,000 minibatches, take. Large steps have larger learning rates, which fall to
zero, as is the default with a teacher (`sk_ssvae.training.learning_rates`);
small ones have that of `learning_rate`, which falls for the classifier only. With
``--others``, the factors of the learning rate of large steps for all networks but the
classifier are these, for any number of columns. The number of rows is that of the
training rows; at most 1,000 others are held out. Columns are standardised, each class
has five labels, and all numbers of steps share a fitted teacher. Sets whose smallest
class has fewer than six training rows are left out. With ``--words``, the numbers of
epochs are those of ``max_epochs="few"``, ``"auto"`` and ``"many"``.

Prints, for each set, the held-out accuracy in % and the median log-density of held-out
rows in nats, and for all sets the means, the differences to the first line with their
standard errors, and the CPU seconds of the network.
"""

import math
import time
from contextlib import ExitStack
from unittest import mock

import numpy as np
import torch

from benchmarks.accuracy.ablations import CachedPool
from benchmarks.accuracy.panel_data import ONE_UNIT, PANEL, prepared
from benchmarks.common.command_line import make_parser
from benchmarks.common.data import hide_labels

N_LABELS = 5
MAX_HELD_OUT = 1000
MIN_PROBABILITY = 1e-9


def split(name, n_rows, seed):
    """Return training rows, labels, held-out rows and their classes, or None."""
    X, y = prepared(name)
    order = np.random.RandomState(seed).permutation(len(y))
    train, test = order[:n_rows], order[n_rows:][:MAX_HELD_OUT]
    classes, counts = np.unique(y[train], return_counts=True)
    if len(test) == 0 or counts.min() <= N_LABELS:
        return None
    test = test[np.isin(y[test], classes)]
    mean, scale = X[train].mean(axis=0), X[train].std(axis=0)
    varies = scale > 0
    X = ((X - mean)[:, varies] / scale[varies]).astype(np.float32)
    y = np.searchsorted(classes, y)
    return X[train], hide_labels(y[train], N_LABELS, 1000 + seed), X[test], y[test]


def measure(data, factor, large, others, seed):
    """Return accuracy, log-density, log-loss and CPU seconds of one fit."""
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
    from sk_ssvae.training.batches import resolve_max_epochs
    from sk_ssvae.training.learning_rates import LARGE_STEPS

    X, labels, X_test, y_test = data
    teacher = CachedPool(OpinionPoolClassifier(random_state=seed)).fit(X, labels)
    model = SSVAEClassifier(teacher=teacher, random_state=seed)
    full = resolve_max_epochs("auto", len(X), model.batch_size)
    if not isinstance(factor, str):
        factor = math.ceil(factor * full)
    model.set_params(max_epochs=factor)
    constants = {"sk_ssvae.models.m2.M2.takes_large_steps": large}
    if others is not None:
        factors = (LARGE_STEPS[0], others)
        constants["sk_ssvae.training.learning_rates.LARGE_STEPS"] = factors
        constants["sk_ssvae.training.learning_rates.LARGE_STEPS_MANY_COLUMNS"] = factors
    start = time.process_time()
    with ExitStack() as stack:
        for name, value in constants.items():
            stack.enter_context(mock.patch(name, value))
        model.fit(X, labels)
    seconds = time.process_time() - start
    proba = model.predict_proba(X_test)
    of_truth = proba[np.arange(len(proba)), y_test]
    return (
        100 * (proba.argmax(axis=1) == y_test).mean(),
        np.median(model.score_samples(X_test)),
        -np.log(np.maximum(of_truth, MIN_PROBABILITY)).mean(),
        seconds,
    )


def main(argv=None):
    """Run the benchmark."""
    from sk_ssvae.training.batches import EPOCH_FACTORS

    parser = make_parser("accuracy.steps", __doc__)
    parser.add_argument("--rows", type=int, default=200, help="training rows")
    parser.add_argument(
        "--small", type=float, nargs="*", default=[0.5], help="numbers of small steps"
    )
    parser.add_argument(
        "--large", type=float, nargs="*", default=[0.5, 1 / 3, 0.25], help="large steps"
    )
    parser.add_argument(
        "--words",
        nargs="+",
        choices=EPOCH_FACTORS,
        default=[],
        help="values of max_epochs",
    )
    parser.add_argument("--others", type=float, nargs="+", help="factors of the rate")
    sets = (*PANEL, *ONE_UNIT)
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(PANEL))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    columns = [(f, False, None) for f in args.small]
    columns += [(word, True, None) for word in args.words]
    columns += [(f, True, o) for f in args.large for o in args.others or [None]]
    figures = []
    for name in args.sets:
        for seed in args.seeds:
            data = split(name, args.rows, seed)
            if data is None:
                continue
            figures.append([measure(data, *column, seed) for column in columns])
            parts = (f"{a:.1f} ({d:.1f})" for a, d, *_ in figures[-1])
            print(f"{name}, seed {seed}: ", ", ".join(parts), flush=True)
    figures = np.array(figures)
    differences = figures - figures[:, :1]
    error = differences.std(axis=0) / np.sqrt(len(figures))
    print("| steps | accuracy | difference | log-density | log-loss | seconds |")
    print("|---|---|---|---|---|---|")
    for j, (factor, large, others) in enumerate(columns):
        accuracy, _, _, seconds = figures[:, j].mean(axis=0)
        gain, _, loss, _ = differences[:, j].mean(axis=0)
        density = np.median(differences[:, j, 1])
        steps = factor
        if not isinstance(factor, str):
            steps = f"{factor:.2g}, {'large' if large else 'small'}"
        if others is not None:
            steps += f", {others:g} times the rate"
        print(
            f"| {steps} | {accuracy:.1f} | {gain:+.2f} ± {error[j, 0]:.2f} "
            f"| {density:+.1f} | {loss:+.3f} ± {error[j, 2]:.3f} | {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
