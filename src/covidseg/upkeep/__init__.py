"""Maintenance: missing, stale or damaged results, jobs left by a killed Snakemake, preconditions of a training."""
