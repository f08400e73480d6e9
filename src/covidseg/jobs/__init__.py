"""What every job of the workflow has: a lock against running twice, leased GPUs, and its record ``run.json``."""
