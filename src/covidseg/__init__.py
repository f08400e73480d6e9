"""covidseg: a reproducible benchmark for lung-infection segmentation in chest CT."""
