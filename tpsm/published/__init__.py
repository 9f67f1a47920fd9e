"""Reads and writes published weights, which are taken in the place of training: their files, cards, and clips."""
