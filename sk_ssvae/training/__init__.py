"""Training of a model: objective, minibatches, network, checkpoints."""

__all__: list[str] = []
