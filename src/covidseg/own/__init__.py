"""Scans of one's own: examining a folder, and writing a paper file that trains on it."""
