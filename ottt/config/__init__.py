"""The configuration of a trial: its settings, their checks, and the reading of files and overrides.

Others use: `TrialConfig`, `load.load_config`, `yaml_reader.read_yaml`.
"""

from ottt.config.groups import Section
from ottt.config.trial import TrialConfig

__all__ = ["Section", "TrialConfig"]
