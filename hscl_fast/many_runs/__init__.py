"""Many runs side by side, each in a process of its own, which are found again by their configuration and resumed."""
