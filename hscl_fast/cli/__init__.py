"""The command line: reads flags, calls the road, prints. Nothing outside of this room knows a flag."""
