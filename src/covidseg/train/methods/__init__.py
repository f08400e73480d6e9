"""The training methods: one file each, and this folder's listing is the registry.

The file of a method holds its settings, a class that derives from ``schema.training.Training`` and whose ``method`` is
the file's name, and its training: ``train(job, progress)`` and, for a method in several jobs, ``stage(job, name,
progress)``. The models of the YAML files are made of these settings, so a file of this folder imports at its top only
what needs no torch and nothing of ``covidseg.schema`` but ``base``, ``references`` and ``training``, and all else
inside its functions.
"""

import covidseg.schema  # noqa: F401 (which imports the files of this folder: it has to begin before any of them does)
