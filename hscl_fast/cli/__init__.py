"""The command line: reads flags, calls the functions that do the work and prints. Only this folder parses flags."""
