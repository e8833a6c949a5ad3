"""Addresses of repositories, and the errors of huggingface_hub as sentences that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hornbeam._internal.extras import install_command
from hornbeam._internal.version import version
from hornbeam.errors import DownloadError

SCHEME = "hf://"
# How the hub counts programs.
LIBRARY = {"library_name": "hornbeam", "library_version": version()}

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^/\s]+))?(?:/(.+))?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A repository, or a file in one.

    Attributes:
        repository: Its owner and name.
        revision: Branch, tag or commit; None for the main branch.
        file: Path of a file, or None.
    """

    repository: str
    revision: str | None
    file: str | None


def parse_address(text: str, revision: str | None, file: bool) -> Address:
    """Parse an address such as `hf://user/model@v1` or `hf://user/model/weights.safetensors`.

    Args:
        text: The address.
        revision: The revision that the caller passes besides.
        file: True if the address must name a file, False if it must not.

    Raises:
        ValueError: If it is no such address.
    """
    form = "hf://user/model/file" if file else "hf://user/model"
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[3] is not None) is not file:
        raise ValueError(f"the address must look like {form!r} or, at a revision, like "
                         f"{form.replace('model', 'model@v1.0')!r}, got {text!r:.200}")  # fmt: skip
    if match[2] is not None and revision is not None:
        raise ValueError(
            f"{text!r} names the revision {match[2]!r}, and so does revision={revision!r}: pass one"
        )
    return Address(match[1], match[2] or revision, match[3])


def library() -> Any:
    """Return huggingface_hub.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(f"hf:// needs huggingface_hub ({error}): {install_command('hub')}") from error
    return huggingface_hub


@contextmanager
def explained(address: Address) -> Iterator[None]:
    """Raise the errors of huggingface_hub as `DownloadError`, with the way out."""
    from huggingface_hub import constants, errors

    repository = f"{SCHEME}{address.repository}"
    unreachable = f"the hub cannot be reached ({constants.ENDPOINT})"
    login = "Log in with `hf auth login`, or set HF_TOKEN."
    try:
        yield
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{repository} asks for consent first: open its page on the hub, accept its conditions. {login}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"{repository} does not exist, or is private and this account may not read it. Compare the name "
            f"with its page on the hub. {login}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(
            f"{repository} has no branch, tag or commit {address.revision!r}: its page on the hub lists them"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        reason = "HF_HUB_OFFLINE=1 forbids to ask the hub" if constants.HF_HUB_OFFLINE else unreachable
        raise DownloadError(
            f"{repository} is not, or not completely, in the cache {constants.HF_HUB_CACHE}, and {reason}. "
            "Load it once with network; HF_HOME moves the cache to a folder that has it"
        ) from error
    except errors.EntryNotFoundError as error:
        raise DownloadError(
            f"{repository} has no file {address.file!r}: its page on the hub lists its files"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = f"this account may not do that. {login}" if status in (401, 403) else "try again later"
        raise DownloadError(f"{repository}: the hub answers {status}: {advice}") from error
    except (errors.HTTPError, ConnectionError) as error:
        raise DownloadError(f"{repository}: {unreachable}: {error}. Connect, and try again") from error
