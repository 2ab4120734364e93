"""Which image has which role, and the split record, which writes it down."""
