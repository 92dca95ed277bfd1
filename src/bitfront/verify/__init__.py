"""A finished run, measured again in a fresh process: what is equal, and what isn't."""

from bitfront.verify.fresh import verify
from bitfront.verify.verifying import verify_here

__all__ = ["verify", "verify_here"]
