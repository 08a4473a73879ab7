"""Choice of defaults: accuracy for several values of a parameter, on six data sets.

    python -m benchmarks accuracy.choose_defaults alpha 0.1 1 5 20 50
    python -m benchmarks accuracy.choose_defaults latent_size 5 10 20 --teacher

All other parameters are those of the plain model. Parameters of the options are named
``options__NAME``. The data sets are read from the folder ``SK_SSVAE_DATA`` or fetched
from OpenML.
"""

import ast
import json

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from benchmarks.common.command_line import make_parser
from benchmarks.common.data import few_labels, load
from benchmarks.common.plain import plain_m2
from sk_ssvae import SSVAEClassifier

SETS = ("pendigits", "satimage", "segment", "texture", "vehicle", "waveform5000")


def main(argv=None):
    """Print a line for each value: accuracy on each set, and the mean of all sets."""
    parser = make_parser("accuracy.choose_defaults", __doc__)
    parser.add_argument("name", help="parameter of SSVAEClassifier")
    parser.add_argument("values", nargs="+", type=ast.literal_eval)
    parser.add_argument(
        "--teacher", action="store_true", help="label spreading as the teacher"
    )
    parser.add_argument(
        "--fixed", type=json.loads, default={}, help="other parameters, as JSON"
    )
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds")
    parser.add_argument("--rows", type=int, default=2000, help="most rows of a set")
    parser.add_argument("--per-class", type=int, nargs="+", default=[5, 20])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    teacher = None
    if args.teacher:
        teacher = make_pipeline(
            StandardScaler(), LabelSpreading(kernel="knn", max_iter=200)
        )
    print(f"{args.name:>24}", *(f"{s:>12}" for s in SETS), f"{'mean':>8}")
    for value in args.values:
        accuracy = np.zeros((len(SETS), len(args.per_class), args.seeds))
        for i, name in enumerate(SETS):
            X, y = load(name, args.rows)
            for j, per_class in enumerate(args.per_class):
                for seed in range(args.seeds):
                    split = few_labels(X, y, per_class, seed)
                    X_train, y_few, _, X_test, y_test = split
                    clf = SSVAEClassifier(random_state=seed)
                    clf.set_params(**plain_m2(teacher=teacher))
                    clf.set_params(**args.fixed, **{args.name: value})
                    clf.fit(X_train, y_few)
                    accuracy[i, j, seed] = 100 * clf.score(X_test, y_test)
        cells = [f"{a:12.1f}" for a in accuracy.mean(axis=(1, 2))]
        print(f"{value!s:>24}", *cells, f"{accuracy.mean():8.2f}", flush=True)


if __name__ == "__main__":
    main()
