"""``[[webhooks]]``: applications that are told what became of pictures, by signed requests."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from dropmill.errors import ConfigurationError
from dropmill.model.netpolicy import Policy
from dropmill.model.url import UrlRefused, parse_url
from dropmill.model.webhook import Rules, read_secret
from dropmill.settings.findings import Wrong
from dropmill.settings.inboxes import safe_name
from dropmill.settings.net import Net, Networks, networks
from dropmill.settings.sections import Number, PathText, Section, Whole

EventWord = Literal["image.published", "image.duplicate", "image.discarded"]
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAKE_ONE: Final = 'make one with `echo "whsec_$(openssl rand -base64 32)"`, and give it to the receiver too'
_MOST_SECRET_FILE_BYTES: Final = 64 << 10


class Webhook(Section):
    """An application that is told of each picture that was published, is a duplicate, or was discarded."""

    name: str = Field(description="Short name, used in metrics, logs and commands. Unique among the webhooks.")
    url: str = Field(
        description="Where to POST to. It goes through [net] like a download, but its own port is always allowed. "
        "Redirects are not followed."
    )
    secret_file: PathText = Field(
        default="",
        description="File with the secret that requests are signed with, whsec_ and base64 of 24 to 64 bytes. Several "
        "lines, while secrets are changed: all of them sign.",
    )
    secret_variable: str = Field(
        default="",
        description="Variable of the environment that holds it in place of a file; several with blanks between.",
    )
    events: tuple[EventWord, ...] = Field(
        default=("image.published", "image.duplicate", "image.discarded"),
        min_length=1,
        description="What it is told of: image.published, image.duplicate, image.discarded.",
    )
    inboxes: tuple[str, ...] = Field(
        default=(), description="Names of the inboxes and drop-files of which it is told. Left out: all."
    )
    timeout_seconds: Number = Field(
        default=15.0, gt=0, le=300, description="How long one attempt may take, until its answer has a status."
    )
    max_attempts: Whole = Field(
        default=20,
        ge=1,
        le=1000,
        description="An event that fails so often becomes a dead letter, which a person may retry.",
    )
    retry_base_seconds: Number = Field(
        default=5.0, gt=0, le=86_400, description="Pause after the first failure; it doubles, with jitter."
    )
    retry_cap_seconds: Number = Field(
        default=3600.0, gt=0, le=86_400, description="No such pause is longer; what a Retry-After asks for may be."
    )
    allow_networks: Networks = Field(
        default=(),
        description="Networks that this webhook may reach beside those of net.allow_networks, such as 127.0.0.0/8.",
    )

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        return safe_name(value, "a webhook")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        try:
            url = parse_url(value)
        except UrlRefused as error:
            raise Wrong(f"no URL that could be asked for: {error.detail}", "write http://… or https://…") from None
        if url.has_credentials:
            raise Wrong("the URL holds a user or a password", "the signature says who sends it; take them out")
        return url.canonical

    @field_validator("secret_variable")
    @classmethod
    def _name_of_a_variable(cls, value: str) -> str:
        if value and (not _VARIABLE.fullmatch(value) or value.startswith("DROPMILL_")):
            hint = "write its name alone, as in HOOK_SECRET; those with DROPMILL_ in front are settings"
            raise Wrong(f"{value!r} does not suit", hint)
        return value

    @model_validator(mode="after")
    def _one_place_of_secrets(self) -> Webhook:
        if bool(self.secret_file) == bool(self.secret_variable):
            raise Wrong("needs either secret_file or secret_variable", _MAKE_ONE, "secret_file")
        return self

    @property
    def rules(self) -> Rules:
        return Rules(self.max_attempts, self.retry_base_seconds, self.retry_cap_seconds)

    def policy(self, net: Net) -> Policy:
        """That of downloads, with what is named here on purpose: its networks, and the port of its URL."""
        whole, port = net.policy, parse_url(self.url).port
        allowed = (*whole.allow_networks, *networks(self.allow_networks))
        return replace(whole, allow_networks=allowed, ports=(*whole.ports, (port, port)))

    def read_secrets(self, environ: Mapping[str, str]) -> tuple[bytes, ...]:
        """The keys, at least one. Raises ``ConfigurationError``, which never quotes any."""
        where = f"variable {self.secret_variable}" if self.secret_variable else f"file {self.secret_file}"
        words = self._secret_words(environ)
        if not words:
            raise ConfigurationError(f"webhook {self.name}: there is no secret in the {where}", hint=_MAKE_ONE)
        try:
            return tuple(read_secret(word) for word in words)
        except ValueError as error:
            text = f"webhook {self.name}: a secret in the {where} cannot be used: {error}"
            raise ConfigurationError(text, hint=_MAKE_ONE) from None

    def _secret_words(self, environ: Mapping[str, str]) -> list[str]:
        if self.secret_variable:
            return environ.get(self.secret_variable, "").split()
        try:
            with open(self.secret_file, encoding="utf-8") as file:
                return file.read(_MOST_SECRET_FILE_BYTES).split()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"webhook {self.name}: the secret file {self.secret_file} cannot be read: {why}",
                hint="make it readable for the daemon's user, for instance mode 0640 with the daemon's group",
            ) from None

    def digest(self, keys: tuple[bytes, ...]) -> str:
        """Changes with anything that is configured of it, its secrets included."""
        told = self.model_dump_json().encode() + b"".join(hashlib.sha256(key).digest() for key in keys)
        return hashlib.sha256(told).hexdigest()


def read_all_secrets(webhooks: tuple[Webhook, ...]) -> dict[str, tuple[bytes, ...]]:
    """The keys of each webhook by its name. Raises ``ConfigurationError``."""
    return {webhook.name: webhook.read_secrets(os.environ) for webhook in webhooks}
