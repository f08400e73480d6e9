"""From the data sets' own files to the canonical store and to tensors."""
