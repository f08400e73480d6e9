"""What values in label maps mean besides the classes."""

UNLABELLED = 255  # a pixel without a label, in a target and in the store; classes are 1..K there, background is 0
