"""How θ is found: objectives, problems, methods and the engines that carry out meta-steps."""

from hebbax.outer import methods as methods
from hebbax.outer import objectives as objectives
from hebbax.outer._curriculum import Curriculum as Curriculum
from hebbax.outer._problem import AbstractProblem as AbstractProblem
from hebbax.outer._problem import Particle as Particle
from hebbax.outer._problem import Problem as Problem
from hebbax.outer._sizes import layer_sizes as layer_sizes
from hebbax.outer._training import MetaTraining as MetaTraining
from hebbax.outer._training import as_training as as_training
from hebbax.outer._training import shows_settings as shows_settings
from hebbax.outer._validation import Best as Best
from hebbax.outer._validation import Validator as Validator
from hebbax.outer._workers import Workers as Workers
