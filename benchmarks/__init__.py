"""Benchmarks: ``make bench`` runs them and writes their tables into docs/benchmarks.md."""
