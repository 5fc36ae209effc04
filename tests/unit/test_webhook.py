"""What is signed, how a secret is read, what follows from a failure, and what the configuration refuses."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import pytest

from dropmill.errors import ConfigurationError
from dropmill.model.outcome import Reason
from dropmill.model.webhook import LONGEST_REST_SECONDS, Posted, Rules, after_failure, read_secret, signatures
from dropmill.settings import SettingsError, Webhook, load, show
from hooks import OTHER_SECRET, SECRET

RULES = Rules(max_attempts=3, retry_base_seconds=4.0, retry_cap_seconds=60.0)
DOWN = Posted(503, Reason.HTTP_503, "it answered 503", blames_host=True)


class Halves(random.Random):
    """Draws the middle, so that a wait is three quarters of its step."""

    def random(self) -> float:
        return 0.5


def test_a_signature_is_the_one_of_the_specification() -> None:
    """The example that the implementations of Standard Webhooks are tested with."""
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = signatures([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    both = signatures([key, b"x" * 24], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert both.split(" ")[0] == told
    assert len(both.split(" ")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin"),
        ("whsec_ü", "not base64"),
        ("whsec_abcde", "not base64"),
        ("whsec_" + base64.b64encode(b"s" * 23).decode(), "23 bytes"),
        ("whsec_" + base64.b64encode(b"s" * 65).decode(), "65 bytes"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_and_never_quoted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        read_secret(text)
    assert text.removeprefix("whsec_") not in str(refused.value)


def test_pauses_double_up_to_their_cap_and_end_with_the_last_attempt() -> None:
    waits = [after_failure(DOWN, attempts, attempts - 1, RULES, Halves()).after_seconds for attempts in (1, 2, 3)]
    assert waits == [3.0, 6.0, None]
    many = Rules(100, 4.0, 60.0)
    assert after_failure(DOWN, 50, 49, many, Halves()).after_seconds == 45.0


@pytest.mark.parametrize(("asked", "granted"), [(7.0, 7.0), (1.0, 3.0), (1e9, LONGEST_REST_SECONDS)])
def test_what_a_retry_after_asks_for_goes_before_a_shorter_pause(asked: float, granted: float) -> None:
    busy = Posted(429, Reason.HTTP_429, "it answered 429", asked, blames_host=True)
    then = after_failure(busy, 1, 0, RULES, Halves())
    assert (then.after_seconds, then.rest_seconds) == (granted, granted)


def test_an_event_that_is_refused_keeps_no_others_waiting_until_all_are() -> None:
    refused = Posted(422, Reason.HTTP_ERROR, "it answered 422")
    rests = [after_failure(refused, 1, failures, RULES, Halves()).rest_seconds for failures in range(6)]
    assert rests[:4] == [0.0] * 4
    assert all(rest > 0 for rest in rests[4:])


def configured(tmp_path: Path, **more: Any) -> str:
    """Text of a configuration with one webhook."""
    item = {"name": "app", "url": "https://app.example/hook", "secret_file": "secret"} | more
    lines = [
        f"{key} = {value!r}".replace("'", '"').replace("(", "[").replace(",)", "]")
        for key, value in item.items()
        if value
    ]
    text = f'[[inboxes]]\nname = "camera"\npath = "{tmp_path}/in"\noutput = "{tmp_path}/out"\n[[webhooks]]\n'
    return text + "\n".join(lines) + "\n"


def loaded(tmp_path: Path, **more: Any) -> Any:
    path = tmp_path / "dropmill.toml"
    path.write_text(configured(tmp_path, **more))
    return load(path, {}, {})


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        ({"url": "ftp://app.example/"}, "webhooks.0.url", "no URL that could be asked for"),
        ({"url": "https://me:word@app.example/"}, "webhooks.0.url", "a user or a password"),
        ({"secret_file": ""}, "webhooks.0.secret_file", "either secret_file or secret_variable"),
        ({"secret_variable": "HOOK"}, "webhooks.0.secret_file", "either secret_file or secret_variable"),
        ({"secret_file": "", "secret_variable": "DROPMILL_X"}, "webhooks.0.secret_variable", "does not suit"),
        ({"inboxes": ("kamera",)}, "webhooks.0.inboxes", "did you mean camera?"),
        ({"events": ("image.publish",)}, "webhooks.0.events.0", "image.published"),
        ({"allow_networks": ("127.0.0.1/8",)}, "webhooks.0.allow_networks.0", "127.0.0.0/8"),
        ({"retry_base_seconds": 9.0, "retry_cap_seconds": 8.0}, "webhooks.0.retry_cap_seconds", "the longest wait"),
        ({"secrets": "x"}, "webhooks.0.secrets", "unknown key"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_with_its_key(
    tmp_path: Path, more: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, **more)
    [finding] = refused.value.findings
    assert finding.key == key
    assert said in str(finding)
    assert "dropmill.toml:" in finding.where


def test_two_webhooks_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dropmill.toml"
    text = configured(tmp_path)
    path.write_text(text + text[text.index("[[webhooks]]") :])
    with pytest.raises(SettingsError, match="two webhooks are named 'app'"):
        load(path, {}, {})


def test_secrets_are_read_from_a_file_or_a_variable_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n{OTHER_SECRET}\n")
    found = loaded(tmp_path)
    [webhook] = found.settings.webhooks
    keys = webhook.read_secrets({})
    assert keys == (read_secret(SECRET), read_secret(OTHER_SECRET))
    assert "whsec_" not in show(found)
    assert SECRET.removeprefix("whsec_") not in show(found)
    by_variable = Webhook(name="app", url="https://app.example/hook", secret_variable="HOOK")
    assert by_variable.read_secrets({"HOOK": f" {OTHER_SECRET} "}) == (read_secret(OTHER_SECRET),)
    assert webhook.digest(keys) != webhook.digest(keys[:1])
    with pytest.raises(ConfigurationError, match="no secret in the variable HOOK"):
        by_variable.read_secrets({})
    (tmp_path / "secret").write_text("whsec_c2hvcnQ=\n")
    with pytest.raises(ConfigurationError, match="5 bytes") as refused:
        webhook.read_secrets({})
    assert "c2hvcnQ" not in str(refused.value)
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        webhook.read_secrets({})


def test_webhooks_can_be_set_by_a_variable(tmp_path: Path) -> None:
    hooks = '[{"name": "app", "url": "http://app.example:3000/", "secret_variable": "HOOK"}]'
    inboxes = f'[{{"name": "camera", "path": "{tmp_path}/in", "output": "{tmp_path}/out"}}]'
    found = load(
        None, {"DROPMILL_INBOXES": inboxes, "DROPMILL_WEBHOOKS": hooks}, {}, default_path="/nonexistent/x.toml"
    )
    [webhook] = found.settings.webhooks
    assert webhook.policy(found.settings.net).judge_place("app.example", 3000).allowed
    assert not found.settings.net.policy.judge_place("app.example", 3000).allowed
