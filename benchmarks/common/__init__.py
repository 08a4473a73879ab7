"""Code that the benchmarks share: data sets, timing, processes, tables."""
