"""bitfront decides how many bits every tensor of a neural network gets."""

__version__ = "0.1.0"
