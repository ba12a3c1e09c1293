"""Settings: what the environment, a file and flags say, and where each value came from. It opens nothing but that file.

A flag beats ``ANSWERABLE_<NAME>`` in the environment, which beats ``settings.toml`` in the data directory, which beats the
default. The data directory is ``$XDG_DATA_HOME/answerable``, else ``~/.local/share/answerable``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError

from ledger.errors import ConfigurationError
from ledger.passwords import HIDDEN, Password, check_url, read_password_file, without_password

PREFIX: Final = "ANSWERABLE_"
FILE_NAME: Final = "settings.toml"
EMBEDDED: Final = "embedded:"

Origin = Literal["default", "file", "environment", "flag"]


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"the home directory in {str(path)!r} is not known: write the path out") from None


def _named(text: str) -> str:
    if not text or "\0" in text or len(text.encode()) > 256:
        raise ValueError("a name has 1 to 256 bytes and no U+0000")
    return text


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Name = Annotated[str, AfterValidator(_named)]
Url = Annotated[str, AfterValidator(check_url)]


def default_data_dir() -> Path:
    """Where data lie unless ``DATA_DIR`` says otherwise."""
    return _absolute(Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "answerable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value as ``doctor`` shows it: secrets hidden. ``origin`` says who set it."""

    name: str
    value: str
    origin: Origin
    meaning: str


class Settings(BaseModel):
    """Every setting of every command. Made by ``load_settings``; paths are absolute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: AbsolutePath = Field(default_factory=default_data_dir, description="keys, trust bundle, spool, Postgres")
    ledger: Name | None = Field(None, description="the name that every seal and trust statement carries")
    tenant: Name = Field("default", description="whose events are recorded and asked about")
    service: Name | None = Field(None, description="who records; its key must be trusted for it")
    log_url: Url = Field(
        "", repr=False, description="kafka://HOST:PORT[/PREFIX][?tls=1], postgresql://…, embedded:DIR or file:ARCHIVE"
    )
    log_password: SecretStr | None = Field(None, description="the password for a log in Postgres")
    log_password_file: AbsolutePath | None = Field(None, description="or a file that holds it")
    store_url: Url = Field("", repr=False, description="postgresql://… or embedded:DIR")
    store_password: SecretStr | None = Field(None, description="the password for the store")
    store_password_file: AbsolutePath | None = Field(None, description="or a file that holds it")
    kafka_ca_file: AbsolutePath | None = Field(
        None, description="the authority that signs the brokers' certificates (PEM); the system's if unset"
    )
    kafka_cert_file: AbsolutePath | None = Field(None, description="our certificate for the brokers (PEM)")
    kafka_key_file: AbsolutePath | None = Field(None, description="its private key (PEM)")
    kafka_key_password: SecretStr | None = Field(None, description="the password of that key")
    kafka_key_password_file: AbsolutePath | None = Field(None, description="or a file that holds it")
    kafka_sasl: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] | None = Field(
        None, description="how we log in to the brokers; SCRAM-SHA-512 where KAFKA_USER is set"
    )
    kafka_user: Name | None = Field(None, description="as whom")
    kafka_password: SecretStr | None = Field(None, description="the user's password")
    kafka_password_file: AbsolutePath | None = Field(None, description="or a file that holds it")
    key: AbsolutePath | None = Field(None, description="signing key file of the service (JWK)")
    trust_root: str | None = Field(None, description="the operator's root public key: a JWK file, or its base64url")
    trust_bundle: AbsolutePath | None = Field(None, description="the file of signed trust statements")
    spool_dir: AbsolutePath | None = Field(None, description="where a recorder keeps what is not in the log yet")
    importer_secret: AbsolutePath | None = Field(None, description="the key from which importers derive ids and salts")
    api_host: str = Field("127.0.0.1", description="where the API listens; not loopback only with API_TOKENS")
    api_port: int = Field(8420, ge=0, le=65535, description="its port; 0 takes a free one")
    api_workers: int | None = Field(
        None,
        ge=1,
        le=64,
        description="processes of `answerable api` that share its port; one a core, at most 8, if unset",
    )
    api_at_once: int = Field(
        2, ge=1, le=8, description="questions that one of them works at once; more where Postgres is milliseconds away"
    )
    api_tokens: AbsolutePath | None = Field(None, description="file of hashed bearer tokens (`answerable tokens new`)")
    metrics_port: int | None = Field(None, ge=0, le=65535, description="Prometheus metrics of a worker; none if unset")
    metrics_host: str = Field("127.0.0.1", description="where those are served")
    rules: AbsolutePath | None = Field(
        None, description="house rules (TOML): what needs another person, what is of consequence; none if unset"
    )
    utc: bool = Field(False, description="show times in UTC, not in the local zone")

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    @property
    def effective_log_url(self) -> str:
        """``LOG_URL``, by default the embedded log, which is kept in the embedded store."""
        return self.log_url or f"{EMBEDDED}{self.data_dir / 'postgres'}"

    @property
    def effective_store_url(self) -> str:
        return self.store_url or f"{EMBEDDED}{self.data_dir / 'postgres'}"

    @property
    def bundle_path(self) -> Path:
        return self.trust_bundle or self.data_dir / "trust.jsonl"

    @property
    def spool_path(self) -> Path:
        return self.spool_dir or self.data_dir / "spool"

    @property
    def keys_path(self) -> Path:
        return self.data_dir / "keys"

    @property
    def importer_secret_path(self) -> Path:
        return self.importer_secret or self.keys_path / "importer.secret"

    @property
    def settings_file(self) -> Path:
        return self.data_dir / FILE_NAME

    def key_path(self, service: str) -> Path:
        """The signing key of ``service``: ``KEY``, or its file among the keys in the data directory."""
        return self.key or self.keys_path / f"{file_name_of(service)}.jwk"

    def require_ledger(self) -> str:
        if self.ledger is None:
            raise ConfigurationError(
                f"there is no ledger in {self.data_dir}: set ANSWERABLE_DATA_DIR to where yours lies, run `answerable serve` "
                "once to make one there, or set ANSWERABLE_LEDGER"
            )
        return self.ledger

    def password(self, name: str) -> Password | None:
        """The password that the setting ``name``, or ``name`` + ``_file``, gives; the file is read anew each time."""
        given: SecretStr | None = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        setting = PREFIX + name.upper()
        if given is not None and file is not None:
            raise ConfigurationError(f"{setting} and {setting}_FILE are both set: unset one of them")
        if file is not None:
            return read_password_file(file, f"{setting}_FILE")
        return None if given is None else Password(given.get_secret_value())

    def as_environment(self) -> dict[str, str]:
        """What makes a child process have the same settings: every value that is not a default, by variable. No password:
        a child has ours from where we have it.
        """
        return {
            PREFIX + name.upper(): str(value)
            for name, value in self
            if value is not None
            and not isinstance(value, SecretStr)
            and self._origins.get(name, "default") != "default"
        }

    def explain(self) -> list[Setting]:
        """Every setting with its origin, for ``doctor``: passwords are hidden, and files are named, never read."""
        effective = {
            "log_url": self.effective_log_url,
            "store_url": self.effective_store_url,
            "trust_bundle": self.bundle_path,
            "spool_dir": self.spool_path,
            "importer_secret": self.importer_secret_path,
        }
        return [
            Setting(
                name=PREFIX + name.upper(),
                value=_shown(effective.get(name, value)),
                origin=self._origins.get(name, "default"),
                meaning=type(self).model_fields[name].description or "",
            )
            for name, value in self
        ]


def load_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process; ``flags`` by field name, None where not given.

    Raises ``ConfigurationError`` naming the setting at fault and where it stands.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    environment = _from_environment()
    try:
        data_dir = _absolute(Path(str(given.get("data_dir") or environment.get("data_dir") or default_data_dir())))
    except ValueError as error:
        raise ConfigurationError(f"no data directory, {error}; set {PREFIX}DATA_DIR") from None
    written = _from_file(data_dir / FILE_NAME)
    values: dict[str, Any] = {**written, **environment, **given, "data_dir": data_dir}
    origins: dict[str, Origin] = dict.fromkeys(written, "file")
    origins.update(dict.fromkeys(environment, "environment"))
    origins.update(dict.fromkeys(given, "flag"))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigurationError(
            f"{_place(name, origins.get(name, 'default'))} cannot be used: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    settings._origins.update(origins)
    return settings


def unknown_variables() -> list[str]:
    """Variables with our prefix that no setting has: misspelt, most likely."""
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    )


def file_name_of(service: str) -> str:
    """A service's name as a file name: what is not a letter, digit, dot, dash or underscore becomes %XX."""
    return (
        "".join(
            each
            if each.isascii() and (each.isalnum() or each in "-_.")
            else "".join(f"%{b:02X}" for b in each.encode())
            for each in service
        ).lstrip(".")
        or "%"
    )


def _shown(value: object) -> str:
    if value is None:
        return ""
    return HIDDEN if isinstance(value, SecretStr) else without_password(str(value))


def _from_environment() -> dict[str, str]:
    return {name: value for name in Settings.model_fields if (value := os.environ.get(PREFIX + name.upper(), "")) != ""}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    try:
        written = tomllib.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # numbers of thousands of digits and deep nesting, beside what is no TOML
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    unknown = sorted(set(written) - set(Settings.model_fields) | ({"data_dir"} & set(written)))
    if unknown:
        raise ConfigurationError(
            f"{path} sets {unknown[0]!r}, which is no setting of a file; `answerable doctor` lists them"
        )
    return written


def _place(name: str, origin: Origin) -> str:
    if origin == "flag":
        return f"--{name.replace('_', '-')}"
    return f"{name!r} in the settings file" if origin == "file" else PREFIX + name.upper()
