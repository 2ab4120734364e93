"""The configuration: typed sections that define both the YAML file and the command-line flags."""
