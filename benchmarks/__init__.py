"""Benchmarks: ``make bench`` runs them and writes their table into the README."""
