"""Which application, user or unit sent and received it."""
