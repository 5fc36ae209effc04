"""Configuration: defaults < preset < file < environment < options, checked whole, explained value by value."""

from dropmill.settings.capacity import effective_processes, memory_room_bytes
from dropmill.settings.dedupe import Dedupe
from dropmill.settings.downloads import Downloads
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.explain import Answers, Change, idle_profiles, schema, show, starter
from dropmill.settings.findings import Finding, SettingsError, Wrong
from dropmill.settings.http import Http, TcpAddress, UnixAddress
from dropmill.settings.inboxes import COMPANIONS, Inbox
from dropmill.settings.load import DEFAULT_PATH, Loaded, differences, load
from dropmill.settings.presets import PRESETS
from dropmill.settings.profiles import Profile, Rendition
from dropmill.settings.resolve import resolved
from dropmill.settings.sections import Log, Output, Queue, Workers
from dropmill.settings.template import Template
from dropmill.settings.top import Settings
from dropmill.settings.url_inboxes import UrlInbox
from dropmill.settings.webhooks import Webhook, read_all_secrets

__all__ = [
    "COMPANIONS",
    "DEFAULT_PATH",
    "PRESETS",
    "Answers",
    "Change",
    "Dedupe",
    "Downloads",
    "Dropfile",
    "Finding",
    "Http",
    "Inbox",
    "Loaded",
    "Log",
    "Output",
    "Profile",
    "Queue",
    "Rendition",
    "Settings",
    "SettingsError",
    "TcpAddress",
    "Template",
    "UnixAddress",
    "UrlInbox",
    "Webhook",
    "Workers",
    "Wrong",
    "differences",
    "effective_processes",
    "idle_profiles",
    "load",
    "memory_room_bytes",
    "read_all_secrets",
    "resolved",
    "schema",
    "show",
    "starter",
]
