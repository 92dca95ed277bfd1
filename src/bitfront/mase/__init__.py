"""MASE search recipes, read as native ones, so that they run as they are."""

from bitfront.mase.convert import Conversion, convert, is_mase

__all__ = ["Conversion", "convert", "is_mase"]
