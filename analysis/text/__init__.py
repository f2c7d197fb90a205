"""Results as columns of text, and numbers rounded to the digits that are known.

Main entries: `columns.columns`, `numbers.with_spread`, `terminal.aligned`.
"""
