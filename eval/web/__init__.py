"""reports/index.html: every data set's answer, tables, videos, figures, failures and provenance in one file."""

FORMAT = 4
"""Of content.json: another one is written where its keys change, so that no page is made of old ones."""
