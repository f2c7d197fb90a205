"""The configuration of a trial: its settings, their checks, and how files and overrides are read."""

from ottt.config.groups import Section
from ottt.config.trial import TrialConfig

__all__ = ["Section", "TrialConfig"]
