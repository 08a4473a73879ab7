"""Print in how many columns the variance of a data set is, and their kurtosis.

    python -m benchmarks accuracy.units

The number is the participation ratio of the variances v of the columns,
(sum v)^2 / sum v^2, of the training rows of the accuracy panel and of further sets. The
networks keep the unit of Gaussian columns, and the pool scales columns less, from
`MIN_SHARED_COLUMNS` on. Sets with fewer columns are not listed. The median kurtosis of
the columns with more than two values (of all, if none has) decides on adversarial
training, together with the effective dimension; both are those of at most 3,000 rows.
"""

import numpy as np

from benchmarks.accuracy.panel_data import MANY_ROWS, ONE_UNIT, PANEL, split
from benchmarks.common.command_line import make_parser
from benchmarks.common.tables import print_table
from sk_ssvae.data.units import (
    MIN_SHARED_COLUMNS,
    participation_ratio,
    relative_deviations,
)
from sk_ssvae.training.adversarial_radius import (
    MAX_MARGIN_CELLS,
    MAX_MARGIN_ROWS,
    effective_dimension,
    is_measurement,
    median_kurtosis,
)


def main(argv=None):
    """Print the table, in the order of the ratio."""
    make_parser("accuracy.units", __doc__).parse_args(argv)
    rows = []
    for name in dict.fromkeys((*PANEL, *MANY_ROWS, *ONE_UNIT)):
        X = split(name, 1, 0).X_train.astype(np.float64)
        deviations = X.std(axis=0)
        deviations = deviations[deviations > 0]
        if len(deviations) < MIN_SHARED_COLUMNS:
            continue
        shared = relative_deviations(deviations) is not None
        ratio = participation_ratio(deviations**2)
        sample = X[: min(MAX_MARGIN_ROWS, MAX_MARGIN_CELLS // X.shape[1])]
        measured = sample[:, is_measurement(sample)]
        rows.append(
            [
                name,
                len(deviations),
                ratio,
                "yes" if shared else "no",
                f"{effective_dimension(measured):.1f}",
                f"{median_kurtosis(measured):.1f}",
            ]
        )
    rows.sort(key=lambda row: row[2])
    print_table(
        [
            "",
            "columns",
            "participation ratio",
            "share a unit",
            "effective dimension",
            "median kurtosis",
        ],
        [[*row[:2], f"{row[2]:.1f}", *row[3:]] for row in rows],
    )


if __name__ == "__main__":
    main()
