"""Help at the prompt: completion of names and settings, the command that a wrong one was meant to be, the version."""
