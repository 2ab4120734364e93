"""Hostile inputs: every kind of file that hscl reads, damaged, lying or out to do harm, and a fuzzer of its readers."""
