"""Questions that people have, answered from the ledger: plain values out, nothing written, nothing formatted.

`usage` by period, `summary` of the most asked, `coverage` of what was watched, `interfaces` that were seen.
"""
