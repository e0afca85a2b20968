"""Settings: one schema, its sources and their precedence.

`schema` holds the sections with their defaults and needs nothing but the standard library, `load` merges flags,
environment and files into it, `paths` knows where files live on each platform.
"""
