"""The papers' figures, drawn from saved predictions."""
