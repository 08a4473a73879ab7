"""Time and memory of training and prediction, compared with other implementations.

All candidates run once in each round, in an order that rotates, so that a temporary
slowdown of the machine does not affect only one of them. Each benchmark prints tables
and writes the values of all rounds to ``results/speed_NAME.json`` after each round;
``--resume`` continues from there. ``--quick`` is a trial run with small sizes that
changes neither results nor plots.

``python -m benchmarks speed.NAME`` limits numpy and torch to one thread before they are
imported.
"""
