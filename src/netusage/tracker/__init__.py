"""`netusage track` and `python app.py`: the console and the daily CSV of a running recorder."""
