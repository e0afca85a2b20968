"""The terminal that is watched: interfaces and applications, each second."""
