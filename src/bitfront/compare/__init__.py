"""Sample efficiency: what each strategy has found after how many distinct evaluations, over many seeds."""

from bitfront.compare.comparison import compare_job
from bitfront.compare.plan import Plan

__all__ = ["Plan", "compare_job"]
