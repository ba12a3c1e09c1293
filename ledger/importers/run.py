"""One import: files in, an account out. What ``answerable import FORMAT FILE…`` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ledger.errors import ConfigurationError
from ledger.importers import cloudtrail, otlp
from ledger.importers.account import Account, Refusal, Tally
from ledger.importers.derivation import Derivation
from ledger.importers.draft import Imported, Publication
from ledger.importers.files import documents
from ledger.importers.json_text import Json
from ledger.importers.otlp_span import spans_in
from ledger.importers.sink import Sink


class Format(NamedTuple):
    """How to take a document apart into records, and what to make of one."""

    split: Callable[[Json], Iterator[Any]]
    read: Callable[[Publication, Any], Imported | Refusal]


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "otlp": Format(spans_in, otlp.read_record),
        "cloudtrail": Format(cloudtrail.records_in, cloudtrail.read_record),
    }
)


def import_files(
    name: str,
    paths: Sequence[Path],
    sink: Sink,
    *,
    secret: bytes,
    correlation_key: bytes | None = None,
    refused: Callable[[Path, Refusal], None] = lambda _path, _refusal: None,
    progress: Callable[[Path], None] = lambda _path: None,
) -> Account:
    """Imports every record of ``paths`` in the format called ``name``, and closes the sink's chain.

    The account counts each record once. ``refused`` hears of each refusal, ``progress`` of each file begun. Raises
    ``ConfigurationError`` for an unknown format or a file that cannot be read, ``BackendError`` where the log failed:
    what was sent stays, and importing again adds only the rest.
    """
    format_ = FORMATS.get(name)
    if format_ is None:
        raise ConfigurationError(f"no format is called {name}; there are {', '.join(sorted(FORMATS))}")
    publication = Publication(sink.schemas, Derivation(secret, sink.tenant, correlation_key))
    tally = Tally(records(format_, paths, progress))
    for path, record in tally:
        outcome = record if isinstance(record, Refusal) else format_.read(publication, record)
        if isinstance(outcome, Refusal):
            refused(path, outcome)
            tally.refuse(outcome)
        else:
            tally.settle(sink.add(outcome))
    sink.close()
    return tally.account(events=sink.events_sent, contents=sink.contents_sent)


def records(
    format_: Format, paths: Sequence[Path], progress: Callable[[Path], None]
) -> Iterator[tuple[Path, Any | Refusal]]:
    """Every record of every file, with the file that it is from."""
    for path in paths:
        progress(path)
        for document in documents(path):
            if isinstance(document, Refusal):
                yield path, document
                continue
            for record in format_.split(document):
                yield path, record
