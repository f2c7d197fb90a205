"""From a spec and the records to trials: which there are, and which still need to run."""
