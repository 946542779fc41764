"""A run of the outer loop and its folder: `meta_train`, checkpoints, logged lines."""

from hebbax.runs._callbacks import Callback as Callback
from hebbax.runs._run import Result as Result
from hebbax.runs._run_directory import digest_of as digest_of
from hebbax.runs._run_directory import read_config as read_config
from hebbax.runs._run_log import RunLog as RunLog
from hebbax.runs._run_log import read_log as read_log
from hebbax.runs._tensorboard import TensorBoard as TensorBoard
from hebbax.runs._trainer import meta_train as meta_train
from hebbax.runs.checkpoint import CheckpointError as CheckpointError
