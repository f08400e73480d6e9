"""Scores of predictions under the protocols, and the reading of predictions."""
