"""Trained models applied to whole scans."""
