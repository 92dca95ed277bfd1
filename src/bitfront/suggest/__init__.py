"""New limits answered from what a run has learnt."""

from bitfront.suggest.answering import suggest_run

__all__ = ["suggest_run"]
