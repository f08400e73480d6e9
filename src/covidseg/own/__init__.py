"""Scans of one's own: what a folder holds, and the paper file that learns from it."""
