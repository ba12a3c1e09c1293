"""A second verifier, written from the page (docs/format.md) and the schemas alone by somebody who had not seen the code.
What the page says may change it, never what the code does. Numbers are sections of the page, in `judge` steps of 8.

`python stranger.py VECTORS_DIR [SCHEMAS_DIR]` checks every vector in a directory, prints a line for each, and exits
with 1 if any differs. SCHEMAS_DIR is else VECTORS_DIR/../../schemas. It needs PyNaCl (libsodium, for section 6).
"""

import base64
import hashlib
import json
import sys
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

MARK = b"\xc3\x01"
STRUCTURE = {"SealedBatch", "Seal", "EventHeader", "Content"}
ONLY_NAMED = {"content_erasure", "token_revocation", "agent_registration", "oversight"}
RELATIONS = {"started_by", "steered_by", "scheduled_by", "continues", "authorized_by", "informed_by", "result_of"}
RELATIONS |= {"completes", "retries", "compensates", "same_action"}
Fields = dict[str, Any]
Schemas = dict[bytes, Fields]


class Refused(ValueError):
    """A record, an event of it, or a bundle does not verify; of a record and event the text is the reason (20)."""


def require(condition: Any, reason: str) -> None:
    """Refuse for a reason, unless the condition holds."""
    if not condition:
        raise Refused(reason)


def sha256(*parts: bytes) -> bytes:
    """SHA-256 over the concatenation of parts (4)."""
    return hashlib.sha256(b"".join(parts)).digest()


def load_schemas(directory: Path) -> Schemas:
    """Read LOCK and the files that it lists; ValueError where one is not what LOCK says (2.1)."""
    schemas: Schemas = {}
    for line in (directory / "LOCK").read_bytes().decode().removesuffix("\n").split("\n"):
        fingerprint, digest, name = line.split(" ")
        data = (directory / name).read_bytes() if (directory / name).is_file() else b""
        require(sha256(data).hex() == digest, f"{name} is not the file that LOCK lists")
        frame = bytes.fromhex(fingerprint)
        require(len(frame) == 8 and frame.hex() == fingerprint and frame not in schemas, "LOCK has a bad fingerprint")
        parts: list[Fields] = []
        schema = json.loads(data, object_hook=lambda part, parts=parts: parts.append(part) or part)
        schema["named"] = {part["name"]: part for part in parts if part.get("type") in ("record", "fixed")}
        schemas[frame] = schema | {"pair": bytes.fromhex(fingerprint + digest)}
    return schemas


class Framed:
    """A framed record: its value, and whether it is canonical (2.2 to 2.4); Refused where it does not open."""

    def __init__(self, schemas: Schemas, data: bytes, name: str) -> None:
        require(len(data) >= 10 and data.startswith(MARK), "malformed")
        require(data[2:10] in schemas, "schema_unknown")
        schema = schemas[data[2:10]]
        require(schema["name"] == name, "malformed")
        self.data, self.named, self.at, self.canonical = data, schema["named"], 10, True
        self.value = self.read(schema)
        require(self.at == len(data), "malformed")

    def take(self, size: int) -> bytes:
        """The next bytes (2.3)."""
        require(0 <= size <= len(self.data) - self.at, "malformed")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, bits: int = 64) -> int:
        """A long, or an int of 32 bits (2.3)."""
        groups = self.take(1)
        while groups[-1] >= 0x80 and len(groups) < 10:
            groups += self.take(1)
        unsigned = sum((group & 0x7F) << 7 * place for place, group in enumerate(groups))
        require(groups[-1] < 0x80 and unsigned < 2**bits, "malformed")
        self.canonical = self.canonical and (groups[-1] > 0 or len(groups) == 1)
        return (unsigned >> 1) ^ -(unsigned & 1)

    def read(self, schema: Any) -> Any:
        """A value of any type (2.3)."""
        match self.named.get(schema, {"type": schema}) if isinstance(schema, str) else schema:
            case {"type": "record", "fields": fields}:
                return {field["name"]: self.read(field["type"]) for field in fields}
            case {"type": "array", "items": item}:
                items: list[Any] = []
                while count := self.number():
                    self.canonical = self.canonical and count > 0 and not items
                    end = self.number() + self.at if count < 0 else None
                    require(abs(count) <= len(self.data) - self.at, "malformed")
                    items += [self.read(item) for _ in range(abs(count))]
                    require(end in (None, self.at), "malformed")
                return items
            case {"type": "fixed", "size": size}:
                return self.take(size)
            case {"type": "bytes"}:
                return self.take(self.number())
            case {"type": "string"}:
                data = self.take(self.number())
                text = data.decode("utf-8", "replace")
                require(text.encode("utf-8") == data and "\0" not in text, "malformed")
                return text
            case {"type": number}:
                return self.number(32 if number == "int" else 64)
        index = self.number()
        require(index in (0, 1), "malformed")
        return self.read(schema[1]) if index else None


def base64url(data: bytes) -> str:
    """Unpadded base64url (6)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text: str, size: int) -> bytes:
    """So many bytes from unpadded, canonical base64url; ValueError or TypeError where it is something else (6)."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    require(base64url(data) == text and len(data) == size, "not canonical base64url, or of another length")
    return data


def canonical_json(value: Any) -> str:
    """RFC 8785 JSON (7); ValueError for a value that the page does not allow, nonsense for one that JSON has not."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join([f"{canonical_json(name)}:{canonical_json(value[name])}" for name in names]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([canonical_json(item) for item in value]) + "]"
    if isinstance(value, float):
        plain = value == 0 or 1e-6 <= abs(value) < 1e21
        return format(Decimal(repr(value)), "f").removesuffix(".0") if plain else repr(value).replace("e-0", "e-")
    require(not isinstance(value, int) or abs(value) < 2**53, "a number is too large")
    return json.dumps(value, ensure_ascii=False)


def public_key(jwk: Fields) -> VerifyKey:
    """An Ed25519 key; ValueError, KeyError or TypeError for anything else (6)."""
    require(jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519" and "d" not in jwk, "not a public Ed25519 key")
    return VerifyKey(from_base64url(jwk["x"], 32))


def key_of(statement: Fields) -> str:
    """The id of the key that a statement is about; ValueError, KeyError or TypeError where it is malformed (7)."""
    times, key_id = [statement["from"]], statement.get("key_id")
    if statement["type"] == "key":
        times += [] if statement["until"] is None else [statement["until"]]
        for names in (statement["tenants"], statement["services"], statement["kinds"]):
            require(names and isinstance(names, list) and all(isinstance(n, str) for n in names), "no array of strings")
        x = base64url(bytes(public_key(statement["key"])))
        key_id = base64url(sha256(canonical_json({"crv": "Ed25519", "kty": "OKP", "x": x}).encode()))
    require(statement["type"] == "revocation" or statement["role"] in ("source", "importer"), "no such type or role")
    require(isinstance(key_id, str) and all(type(time) is int and time >= 0 for time in times), "no key id, or a time")
    return key_id


def read_bundle(data: bytes, root: VerifyKey, ledger: str) -> list[Fields]:
    """The statements of a bundle with their keys' ids (7); if it is refused any exception that `check` names."""
    statements, previous = [], bytes(32)
    *lines, rest = data.split(b"\n")
    require(rest == b"", "the bundle was cut short")
    for line in lines:
        value = json.loads(line.decode("utf-8"))
        require(canonical_json(value).encode("utf-8") == line and len(value) == 2, "not canonical, or more members")
        statement, signature = value["statement"], from_base64url(value["signature"], 64)
        root.verify(b"answerable/trust/v1\0" + canonical_json(statement).encode("utf-8"), signature)
        require(type(statement["number"]) is int and statement["number"] == len(statements), "another number")
        require(statement["previous"] == previous.hex() and statement["ledger"] == ledger, "not of this bundle")
        statements.append(statement | {"key_id": key_of(statement)})
        previous = sha256(line)
    return statements


def open_header(schemas: Schemas, data: bytes) -> Framed | None:
    """A header, or None if it is unreadable; Refused where that refuses the record (8, step 14)."""
    try:
        require(len(data) <= 8192, "malformed")
        header = Framed(schemas, data, "EventHeader")
    except Refused as refusal:
        require(str(refusal) == "malformed", "schema_unknown")
        return None
    fields, event_id = header.value, header.value["event_id"]
    strings = [fields["kind"], fields["agent_id"] or "", fields["agent_instance"] or "", *fields["correlation"]]
    strings += [cause["relation"] for cause in fields["causes"]]
    good = event_id[6] & 0xF0 in (0x70, 0x80) and event_id[8] & 0xC0 == 0x80 and len(fields["causes"]) <= 64
    return header if good and all(len(text.encode()) <= 512 for text in strings) else None


def judge_event(schemas: Schemas, payload: bytes | None, header: Framed | None, kinds: set[str], time: int) -> Fields:
    """Verdict and findings of an event of an admitted record, under a key for such kinds (8, step 18)."""
    if header is None:
        return {"verdict": "malformed", "findings": []}
    fields, kind, canonical, known = header.value, header.value["kind"], header.canonical, True
    try:
        if payload is not None:
            require(len(payload) <= 65536, "malformed")
            canonical = Framed(schemas, payload, "" if kind in STRUCTURE else kind).canonical and canonical
    except Refused as refusal:
        if str(refusal) == "malformed":
            return {"verdict": "unprojectable", "findings": []}
        known = False
    times = (fields["occurred_at"], int.from_bytes(fields["event_id"][:6], "big") * 1000)
    findings = {
        "clock_skew": times[0] < 0 or max(times) > time + 86_400_000_000,
        "non_canonical": not canonical,
        "schema_unknown": not known,
        "unauthorized_kind": kind not in kinds and ("*" not in kinds or kind in ONLY_NAMED),
        "unknown_relation": any(cause["relation"] not in RELATIONS for cause in fields["causes"]),
    }
    return {"verdict": "admitted", "findings": [name for name, found in findings.items() if found]}


def open_batch(schemas: Schemas, value: bytes) -> tuple[Fields, Fields]:
    """A batch and its seal (8, steps 1 to 7)."""
    require(len(value) <= 786432, "oversize")
    batch = Framed(schemas, value, "SealedBatch")
    counts = len(batch.value["events"]) in range(1, 257) and len(batch.value["signatures"]) in range(1, 17)
    require(batch.canonical and counts and len(batch.value["seal"]) <= 2048, "malformed")
    seal = Framed(schemas, batch.value["seal"], "Seal")
    require(seal.canonical, "malformed")
    require(seal.value["format"] == 1, "schema_unknown")
    numbers = [seal.value[name] for name in ("seal_number", "first_sequence", "sealed_at")]
    require(all(0 <= n < 2**53 for n in numbers) and 0 <= (seal.value["next_within"] or 0) <= 31622400, "malformed")
    require(len({numbers[0] == 0, numbers[1] == 0, seal.value["previous_seal"] == bytes(32)}) == 1, "malformed")
    return batch.value, seal.value


def judge(schemas: Schemas, statements: list[Fields], vector: Fields, record: Fields) -> tuple[Fields, Fields]:
    """Verdict of an admitted record, and its seal (8)."""
    value, time = bytes.fromhex(record["value"] or "") + bytes(record.get("zeros", 0)), record["append_time"]
    batch, seal = open_batch(schemas, value)
    events = batch["events"]
    require(seal["ledger"] == vector["ledger"], "wrong_ledger")  # 8
    require(record["key"] == seal["chain_id"].hex(), "wrong_key")  # 9
    own = [s for s in statements if s["key_id"] == seal["key_id"]]
    keys = [public_key(s["key"]) for s in own if s["type"] == "key"]
    require(keys, "unknown_key")  # 10
    signature, signed = batch["signatures"][0], b"answerable/seal/v1\0" + batch["seal"]
    require(signature["key_id"] == seal["key_id"], "bad_signature")  # 11
    try:
        keys[0].verify(signed, signature["signature"])
    except (CryptoError, ValueError):
        raise Refused("bad_signature") from None
    require(not any(s["type"] == "revocation" and s["from"] <= time for s in own), "revoked_key")  # 12, with 7
    own = [s for s in own if s["type"] == "key" and {seal["tenant"], "*"} & set(s["tenants"])]
    own = [s for s in own if {seal["service"], "*"} & set(s["services"])]
    require(own, "wrong_scope")
    own = [s for s in own if s["from"] <= time and (s["until"] is None or time < s["until"])]
    require(own, "expired_key")
    names = [seal[name].encode() for name in ("ledger", "tenant", "service")]
    context = sha256(b"answerable/event/v1\0", *(len(name).to_bytes(4, "big") + name for name in names))
    leaves = level = [sha256(b"\0", context, event["header"]) for event in events]
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(b"\1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    require(len(leaves) == seal["event_count"] and level[0] == seal["events_root"], "bad_root")  # 13
    headers = [open_header(schemas, event["header"]) for event in events]  # 14
    for event, header, leaf in zip(events, headers, leaves, strict=True):  # 15
        if event["payload"] is None:
            erased = {"tenant": seal["tenant"], "event": leaf.hex()} in vector["erased"]
            require(erased and event["salt"] == bytes(16), "bad_payload")
        elif header is not None:
            digest = sha256(b"answerable/payload/v1\0", event["salt"], event["payload"])
            require(digest == header.value["payload_digest"], "bad_payload")
    first, last = [header.value["kind"] if header else "" for header in (headers[0], headers[-1])]
    require((first == "chain_open") == (seal["seal_number"] == 0), "malformed")  # 16
    require((last == "chain_close") == (seal["next_within"] == 0), "malformed")
    framed = [value, batch["seal"]] + [event[part] or b"" for event in events for part in ("header", "payload")]
    named = [schemas.get(data[2:10]) if data.startswith(MARK) else None for data in framed]
    pairs = sorted({schema["pair"] for schema in named if schema})
    require(None in named or sha256(*pairs) == seal["schemas"], "schema_unknown")  # 17
    kinds = {kind for s in own for kind in s["kinds"]}
    judged = [{"sequence": seal["first_sequence"] + at, "digest": leaf.hex()} for at, leaf in enumerate(leaves)]
    for stated, event, header in zip(judged, events, headers, strict=True):
        stated.update(judge_event(schemas, event["payload"], header, kinds, time))  # 18
    ahead, seal["digest"] = seal["sealed_at"] - time, sha256(signed)
    findings = ["clock_skew"] if ahead > 300_000_000 else ["late"] if ahead < -3_600_000_000 else []
    role = "source" if any(s["role"] == "source" for s in own) else "importer"
    admitted = {"verdict": "admitted", "seal_digest": seal["digest"].hex(), "role": role}
    return admitted | {"findings": findings, "events": judged}, seal


def chains(seals: list[Fields]) -> list[Fields]:
    """State and findings of every chain that has an admitted seal (9)."""
    grouped: dict[tuple[str, ...], dict[bytes, Fields]] = {}
    for seal in seals:
        name = (seal["tenant"], seal["service"], seal["key_id"], seal["chain_id"].hex())
        grouped.setdefault(name, {})[seal["digest"]] = seal
    return [chain(name, list(grouped[name].values())) for name in sorted(grouped)]


def chain(name: tuple[str, ...], seals: list[Fields]) -> Fields:
    """Runs, end and findings of the distinct seals of a chain (9)."""
    numbers = sorted({seal["seal_number"] for seal in seals})
    starts = [n for n in numbers if n - 1 not in numbers]
    stops = [n for n in numbers if n + 1 not in numbers]
    closed_at = min((seal["seal_number"] for seal in seals if seal["next_within"] == 0), default=None)
    found = [("gap", a + 1, b - 1, "") for a, b in zip([-1, *stops], starts, strict=False) if a + 1 < b]
    if closed_at is not None and numbers[-1] > closed_at:
        found.append(("sealed_after_close", closed_at, closed_at, ""))
    for seal in seals:
        number, digest = seal["seal_number"], seal["digest"].hex()
        before = [other for other in seals if other["seal_number"] == number - 1]
        parents = [other for other in before if other["digest"] == seal["previous_seal"]]
        parents = [p for p in parents if p["first_sequence"] + p["event_count"] == seal["first_sequence"]]
        if sum(other["seal_number"] == number for other in seals) > 1:
            found.append(("fork", number, number, digest))
        if before and not parents:
            found.append(("broken_link", number, number, digest))
        if parents and parents[0]["sealed_at"] > seal["sealed_at"]:
            found.append(("clock_skew", number, number, digest))
    findings = [{"name": n, "number": a, "until": b, "digest": d or None} for n, a, b, d in sorted(found)]
    state = {"runs": [list(run) for run in zip(starts, stops, strict=True)], "closed_at": closed_at}
    return dict(zip(("tenant", "service", "key_id", "chain_id"), name, strict=True)) | state | {"findings": findings}


def check(vector: Fields, schemas: Schemas) -> list[str]:
    """A sentence for each difference between what a vector states and what this verifier computes."""
    root, statements, verdict, verdicts, seals = public_key(vector["root"]), [], "accepted", [], []
    try:
        statements = read_bundle(base64.b64decode(vector["bundle"]), root, vector["ledger"])
    except (ValueError, KeyError, TypeError, RecursionError, CryptoError):
        verdict = "refused"
    for record in vector["records"]:
        try:
            admitted, seal = judge(schemas, statements, vector, record)
            verdicts.append(admitted)
            seals.append(seal)
        except Refused as refusal:
            verdicts.append({"verdict": str(refusal)})
    compared = [("bundle_verdict", vector["bundle_verdict"], verdict)]
    for name, computed in (("expect", verdicts), ("chains", chains(seals))):
        compared += [(f"{name} {at}", *pair) for at, pair in enumerate(zip_longest(vector[name], computed))]
    return [f"{name} is {stated} in the file, {own} here" for name, stated, own in compared if stated != own]


if __name__ == "__main__":
    vectors = Path(sys.argv[1])
    known = load_schemas(Path(sys.argv[2]) if len(sys.argv) > 2 else vectors / "../../schemas")
    results = {path.name: check(json.loads(path.read_text("utf-8")), known) for path in sorted(vectors.glob("*.json"))}
    for name, differences in results.items():
        print(f"{name}: {'; '.join(differences) or 'agrees'}")
    sys.exit(any(results.values()))
