"""Masks: the class of every pixel of an image."""

VOID = 255
"""The label of a pixel that nobody asks about: it is neither trained on nor scored."""
