"""What is learned: the rule families and the learners they are compared with."""

from hebbax.rules._backprop import Backprop as Backprop
from hebbax.rules._backprop import LearningRate as LearningRate
from hebbax.rules._continual import ContinualBackprop as ContinualBackprop
from hebbax.rules._ensemble import Ensemble as Ensemble
from hebbax.rules._feedback_alignment import FeedbackAlignment as FeedbackAlignment
from hebbax.rules._hebbian import Hebbian as Hebbian
from hebbax.rules._meta_rnn import MetaRnn as MetaRnn
from hebbax.rules._perceptron import Perceptron as Perceptron
from hebbax.rules._plasticity import Plasticity as Plasticity
from hebbax.rules._rule import AbstractRule as AbstractRule
from hebbax.rules._rule import Sizes as Sizes
from hebbax.rules._sections import Entry as Entry
from hebbax.rules._sections import Section as Section
from hebbax.rules.blur import Blur as Blur
from hebbax.rules.unsupervised import UnsupervisedRule as UnsupervisedRule
from hebbax.rules.vsml import Vsml as Vsml
