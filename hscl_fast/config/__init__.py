"""Everything a user can set: typed sections, which are the YAML file and the command-line flags at once."""
