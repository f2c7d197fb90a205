"""A sweep as one self-contained HTML page: table, figures, failures, provenance."""
