"""Alerts: what somebody may want to know of the record, and bringing it to them, in a process of their own."""
