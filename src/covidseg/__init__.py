"""covidseg: a reproducible benchmark for lung-infection segmentation in chest CT.

For use from Python, see ``docs/python.md``: ``nets``, ``losses``, ``metrics``, ``evaluate`` and ``inference`` are the
public modules. Importing them is cheap: torch is imported when a network, a loss or a predictor is made.
"""

__version__ = "0.2.0"
