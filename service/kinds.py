"""Kinds of settings: what a variable may hold beside numbers and words of a list. A ValueError says the rule."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from models import variables
from models.objects import OTHER_URL

# Begins the path of a Unix socket, in the place of an address; no longer path can be bound (unix(7)).
UNIX = "unix:"
LONGEST_SOCKET_PATH = 107
# A part of a name of the network, as DNS and containers have them; one that ends in a number is an address, or none.
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*")
LONGEST_NAME = 253
# As browsers write one (RFC 6454): in small letters, and without a path.
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?")
LARGEST_PORT = 65535
DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")


def named(value: str) -> frozenset[str]:
    """The names between commas."""
    return frozenset(name.strip() for name in value.split(",") if name.strip())


def _names(value: str) -> str:
    if value and not named(value):
        raise ValueError("should be names with commas between them")
    return value


def _host_names(value: str) -> str:
    for name in named(value):
        if not _is_url_host(name):
            raise ValueError("should have names as Host has them, such as evenkeel.internal (no http://, port or path)")
    return value


def _origins(value: str) -> str:
    if named(value) == {"*"}:
        return value
    for name in named(value):
        match = ORIGIN.fullmatch(name)
        if (
            not match
            or DEFAULT_PORT.fullmatch(name)
            or not _is_url_host(match["host"])
            or int(match["port"] or 1) > LARGEST_PORT
        ):
            raise ValueError("should have origins as browsers write them, such as https://shop.example (no path)")
    return value


def _host(value: str) -> str:
    path = value.removeprefix(UNIX)
    if path == value and not _is_host(value):
        raise ValueError("should be an address such as 0.0.0.0, a name of this machine, or unix:/PATH")
    if path != value and not (path.startswith("/") and len(path.encode()) <= LONGEST_SOCKET_PATH):
        raise ValueError(f"should be unix: and a whole path of at most {LONGEST_SOCKET_PATH} bytes")
    return value


def _is_url_host(text: str) -> bool:
    """Whether it is a name or an address as URLs have it, IPv6 in brackets."""
    inner = text.removeprefix("[").removesuffix("]")
    return _is_address(inner) if text == f"[{inner}]" else ":" not in text and _is_host(text)


def _is_host(text: str) -> bool:
    """Whether it is an address, or a name."""
    labels = text.removesuffix(".").split(".")
    is_name = all(map(LABEL.fullmatch, labels)) and not NUMBER.fullmatch(labels[-1]) and len(text) <= LONGEST_NAME
    return is_name or _is_address(text)


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _file(value: str) -> str:
    if OTHER_URL.match(value):
        raise ValueError("should be a file of this machine")
    return value


Repository = Annotated[Path | str, BeforeValidator(lambda value: variables.repository(str(value)))]
Folder = Annotated[Path, BeforeValidator(lambda value: variables.folder(str(value)))]
File = Annotated[Path, BeforeValidator(_file)]
Host = Annotated[str, AfterValidator(_host)]
Names = Annotated[str, AfterValidator(_names)]
HostNames = Annotated[str, AfterValidator(_names), AfterValidator(_host_names)]
OriginNames = Annotated[str, AfterValidator(_names), AfterValidator(_origins)]
