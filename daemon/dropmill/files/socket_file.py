"""What is at the path of a socket file: one that a killed process left behind is known by nobody answering on it."""

from __future__ import annotations

import os
import socket
import stat
from typing import Final

CONNECT_SECONDS: Final = 1.0


def obstacle(path: str) -> tuple[str, str]:
    """``(what is wrong, remedy)``, both empty where a socket can be made: nothing is there, or one that nobody listens on."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "", ""
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}", "let the daemon's user into its folder"
    if not stat.S_ISSOCK(mode):
        return f"{path} is there and is no socket", "move it away, or name another"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return "", ""
        except PermissionError:
            remedy = "remove it if no program of its owner listens there, or name another"
            return f"{path} is another user's socket", remedy
        except OSError:
            pass  # Somebody listens who does not answer just now, or with another kind of socket.
    return f"another program listens on {path}", "stop it, perhaps another dropmill, or name another socket"
