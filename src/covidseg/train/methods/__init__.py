"""One file per training method of ``schema.run.Method``, named as the method."""
