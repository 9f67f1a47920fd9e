"""reports/index.html: every data set's answer, tables, videos, figures, failures and provenance in one file."""
