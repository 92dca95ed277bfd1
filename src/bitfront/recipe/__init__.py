"""Recipes: TOML -> frozen values -> objects. The only place that resolves names."""

from bitfront.recipe.job import Job
from bitfront.recipe.reading import read, to_toml
from bitfront.recipe.schema import Recipe

__all__ = ["Job", "Recipe", "read", "to_toml"]
