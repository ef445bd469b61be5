"""The reference names everything there is."""

import re
from pathlib import Path

import pytest

from runyard import config, errors
from runyard.cli.main import COMMANDS
from runyard.domain.event import EventKind
from runyard.domain.job import ALIASES, AttemptState, JobSpec, Reason, State

ROOT = Path(__file__).parent.parent
CONFIG = Path(config.__file__).read_text()
REFERENCE = (ROOT / "docs/reference/index.md").read_text()

SETTINGS = set(re.findall(r'(?:get|_positive|_directories)\((?:env, )?"([A-Z_]+)"', CONFIG)) | {
    config.CONFIG_VARIABLE
}
ERRORS = {
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, errors.RunyardError)
}
NAMES = [
    *State,
    *Reason,
    *AttemptState,
    *EventKind,
    *JobSpec.model_fields,
    *ALIASES,
    *COMMANDS,
    *sorted(SETTINGS - set(config.SECRET_VARIABLES)),
    *sorted(ERRORS),
]


@pytest.mark.parametrize("name", [str(name) for name in NAMES])
def test_the_reference_names(name: str) -> None:
    assert f"`{name}`" in REFERENCE


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_the_error_tree_names(name: str) -> None:
    assert errors.__doc__ is not None
    assert name in errors.__doc__
