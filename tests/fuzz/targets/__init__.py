"""All targets by name. A search loads the module of its own alone: what is imported is instrumented, which takes a while."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from tests.fuzz.case import Target

_MODULES: Final = {
    "decoders": ("frame", "seal", "header", "payload", "any-frame", "content", "person", "record-key"),
    "judging": ("judge-record", "judge-seal", "judge-events", "judge-signatures"),
    "trust": ("bundle", "bundle-signed", "jwk", "base64url", "heads"),
    "spool": ("journal", "orphan"),
    "archives": ("archive", "kafka-batch", "kafka-records"),
    "claims": ("headers", "jwt", "secrets"),
    "importers": ("otlp", "cloudtrail", "redaction"),
    "facts": ("facts",),
    "questions": ("judgements", "inventory", "rights", "runs", "drawings"),
    "rules": ("house-rules", "names"),
    "files": ("key-files", "text", "settings", "token-file", "importer-secret", "cursor"),
    "requests": ("http",),
}
MODULE_OF: Final[Mapping[str, str]] = MappingProxyType({name: key for key, names in _MODULES.items() for name in names})
HTTP: Final = "http"
"""The one that needs a store."""


def load(name: str) -> Target:
    """The target called ``name``."""
    found: tuple[Target, ...] = import_module(f"{__name__}.{MODULE_OF[name]}").TARGETS
    return next(each for each in found if each.name == name)
