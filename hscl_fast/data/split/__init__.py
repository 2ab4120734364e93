"""The split of a data set into roles, and the split record that stores it."""
