"""Keeping results whole: what is missing, stale or left behind by a killed Snakemake, and whether a job may start."""
