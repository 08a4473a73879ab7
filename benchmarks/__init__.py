"""Benchmarks of sk_ssvae: accuracy, speed and reliability.

Run ``python -m benchmarks`` in the root folder of the repository to list them, and
``python -m benchmarks NAME`` to run one.
"""
