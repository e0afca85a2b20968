"""How rows become text: tables for people, JSON and CSV for programs.

Bytes arrive counted; nothing is added up here.
"""
