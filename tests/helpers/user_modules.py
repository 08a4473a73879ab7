"""User-supplied networks for tests."""

from torch import nn


class BatchNormMLP(nn.Module):
    """A network with a keyword argument, batch statistics and dropout."""

    def __init__(self, in_features, out_features, width=8, dropout=0.0):
        super().__init__()
        self.sizes = in_features, out_features
        self.net = nn.Sequential(
            nn.Linear(in_features, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, out_features),
        )

    def forward(self, x):
        assert x.ndim == 2
        return self.net(x)


USER_NETWORKS = {
    "classifier_module": BatchNormMLP,
    "encoder_module": BatchNormMLP,
    "decoder_module": BatchNormMLP,
    "classifier_module__dropout": 0.3,
    "encoder_module__width": 5,
}
"""Parameters of an estimator all of whose networks are user-supplied."""


def network_sizes(module):
    """Return the sizes of the user-supplied networks in a model."""
    return [m.sizes for m in module.modules() if isinstance(m, BatchNormMLP)]
