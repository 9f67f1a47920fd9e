"""Scores of generated clips and the report on them. Nothing here imports a model."""
