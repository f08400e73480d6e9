"""Where lung masks come from: one file each, and this folder's listing is the registry (``covidseg.lungs.source``).

A file holds the literal ``SOURCE``, which planning reads without importing the file:

- ``network``: whether a network makes the masks, so that the job asks for a GPU;
- ``weights``: the address of published weights, or None;
- ``run``: the run of a paper file whose model makes the masks, or None;
- ``in_demo``: the source that takes its place where phantoms are read by default, which downloads nothing;
- ``any_scan``: whether it works on a scan without labels and without a model of the project.

It defines ``predictor(request)``, which returns a function from a case's image and spacing to its lung mask, or None
where masks are not made from images. Where that has a method ``slabs``, masks are made slab by slab, and the memory
does not grow with the slices.
"""
