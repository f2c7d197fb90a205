"""What a trial trains that goes on from the state of another one, as a copy does in population based training.

A copy is the other trial with further `schedule.changes`, as in `experiments.planning.pbt`: so it has a configuration
of its own, which gives the same numbers from the beginning.
"""

from ottt.config.scheduled_changes import CHANGEABLE, Change, written
from ottt.config.trial import TrialConfig
from ottt.errors import UserError, brief

CHANGES = "schedule.changes"


def continued(now: TrialConfig, saved: TrialConfig, epoch: int) -> TrialConfig:
    """The trial `saved` after `epoch` epochs, from then on with the settings of `now`.

    Raises:
        UserError: one line for each setting that differs and cannot change during training.
    """
    wanted, had = now.at(epoch).effective(), saved.at(epoch).effective()
    different = sorted(key for key in wanted.keys() | had.keys() if wanted.get(key) != had.get(key))
    new = [key for key in different if key in CHANGEABLE]
    fixed = [key for key in different if key not in {*CHANGEABLE, CHANGES}]
    before, after = saved.flat(), now.flat()
    given = [key for key in fixed if before.get(key) != after.get(key)]  # others follow from them
    problems = [
        f"{key} must stay {brief(had.get(key))} while a trial trains, only {', '.join(CHANGEABLE)} can change,"
        f" got {brief(wanted.get(key))} after epoch {epoch}"
        for key in given or fixed
    ]
    if _later(now, epoch) != _later(saved, epoch):
        problems.append(f"{CHANGES} must stay the same after epoch {epoch}, got {brief(now.schedule.changes)}")
    scheduled = {change.setting for change in now.changes}
    problems += [
        f"{CHANGES} must not change {key} if a scheduler does, got {brief(now.schedule.changes)}"
        for key in CHANGEABLE
        if key in scheduled and before[key] != after[key]
    ]
    if problems:
        raise UserError(*problems)
    kept = {key: before[key] for key in CHANGEABLE}
    if epoch >= saved.epochs:  # nothing is left to train
        return now.replace({**kept, CHANGES: saved.schedule.changes})
    changes = [
        change for change in saved.changes if (change.after, change.setting) not in {(epoch, key) for key in new}
    ]
    changes += [Change(epoch, key, float(after[key])) for key in new]
    return now.replace({**kept, CHANGES: written(sorted(changes))})


def _later(config: TrialConfig, epoch: int) -> list[Change]:
    return [change for change in config.changes if change.after > epoch]
