"""Fine-tuning: trials of a run trained with their quantizers, measured again, and kept beside the run's log."""

from bitfront.finetune.belonging import Belonging, belonging
from bitfront.finetune.fronts import Fronts, fronts, values_before
from bitfront.finetune.record import FineTuned, read_finetuned
from bitfront.finetune.running import finetune_trials
from bitfront.finetune.tuned_job import TunedJob, tuned_job

__all__ = [
    "Belonging",
    "FineTuned",
    "Fronts",
    "TunedJob",
    "belonging",
    "finetune_trials",
    "fronts",
    "read_finetuned",
    "tuned_job",
    "values_before",
]
