"""The recorder as a service of the system: systemd, launchd, Windows Task Scheduler.

One file per manager makes its text (pure); `manage` says what to write and which commands to run, and does it.
"""
