"""Passwords and secrets are replaced in text."""

import pytest

from experiments.tracking.redact import redacted

SECRET = {"LAB_TOKEN": "tok-12345", "OTHER_TOKEN": "tok-12345-6", "SHORT_PASSWORD": "on", "PLAIN": "digits-set"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot log in with tok-12345", "cannot log in with ***"),
        ("tok-12345-6 and tok-12345", "*** and ***"),  # the longer one whole
        ("rule.update=online", "rule.update=online"),  # "on" is too short to be told from text
        ("no secret: digits-set", "no secret: digits-set"),
        ("postgresql://lab:pass word@host", "postgresql://lab:pass word@host"),
        ("at postgresql://lab:passw0rd@host:5432/db", "at postgresql://***@host:5432/db"),
        ("at http://host:5000/path", "at http://host:5000/path"),
    ],
)
def test_secrets_become_stars(text: str, expected: str) -> None:
    assert redacted(text, SECRET) == expected


def test_a_password_of_an_address_is_a_secret_elsewhere_too() -> None:
    environment = {"MLFLOW_TRACKING_URI": "postgresql://lab:passw0rd@host/db"}
    assert redacted("authentication failed: passw0rd", environment) == "authentication failed: ***"
