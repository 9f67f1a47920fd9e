"""Differentiable parts that no single method owns."""
