"""Benchmarks. Each reports a ratio or a distribution of one run; tests assert none of them."""
