"""Permutation-invariant MNIST with 100 to 3000 labels."""
