"""The HTML report of a sweep: one page with tables, figures, configuration and provenance.

Main entries: `page.page`, `origin.Origin`.
"""
