"""A second verifier, written from docs/format.md and the schema files by somebody who had not seen the code, and brought up to
date with the page when its section 2.3 was tightened.

    python tests/stranger.py VECTORS_DIR

checks every test vector of a directory, a line each; the exit status is 0 if all of them hold. It shows that the page says
enough, so it imports nothing of this project: only the standard library and, for Ed25519, PyNaCl. "Section" and "step" are
those of the page.
"""

import base64
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

Json = dict[str, Any]
Schemas = dict[bytes, tuple[Json, Json, bytes]]  # by frame: the record, the named types, fingerprint and file's SHA-256

SEAL_BYTES, HEADER_BYTES, PAYLOAD_BYTES, BATCH_BYTES = 2048, 8192, 65536, 786432
EVENTS, SIGNATURES, CAUSES, HEADER_STRING_BYTES, NUMBER, NEXT_WITHIN = 256, 16, 64, 512, 2**53 - 1, 31_622_400
SEALED_AHEAD, SEALED_BEHIND, EVENT_AHEAD = 300_000_000, 3_600_000_000, 86_400_000_000
NOT_KINDS = {"SealedBatch", "Seal", "EventHeader", "Content"}
NAMED_KINDS = {"content_erasure", "token_revocation", "agent_registration", "oversight"}  # "*" leaves these out
RELATIONS = {"started_by", "steered_by", "scheduled_by", "continues", "authorized_by", "informed_by", "result_of"}
RELATIONS |= {"completes", "retries", "compensates", "same_action"}


class Refused(ValueError):
    """What was read or judged does not hold; its text is the reason (section 20)."""


def require(holds: bool, reason: str = "malformed") -> None:
    if not holds:
        raise Refused(reason)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def load_schemas(directory: Path) -> Schemas:
    """The schemas that LOCK lists; ValueError if a file is another than it says (section 2.1)."""
    schemas: Schemas = {}
    for line in (directory / "LOCK").read_text().splitlines():
        data, types = (directory / line.split()[2]).read_bytes(), Json()
        record = parsing_form(json.loads(data), types, "")
        empty = crc = 0xC15D213AA4D7A795  # CRC-64-AVRO
        for byte in json.dumps(record, separators=(",", ":")).encode():
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (empty if crc & 1 else 0)
        pair = crc.to_bytes(8, "little") + sha256(data)
        require(line.split()[:2] == [pair[:8].hex(), pair[8:].hex()], f"not as LOCK has it: {line}")
        schemas[b"\xc3\x01" + pair[:8]] = record, types, pair
    return schemas


def parsing_form(schema: Any, types: Json, namespace: str) -> Any:
    """Avro's Parsing Canonical Form, not yet serialized; adds the named types to `types`."""
    if isinstance(schema, str):
        return f"{namespace}.{schema}" if f"{namespace}.{schema}" in types else schema
    if isinstance(schema, list):
        return [parsing_form(branch, types, namespace) for branch in schema]
    if "items" in schema:
        return {"type": "array", "items": parsing_form(schema["items"], types, namespace)}
    namespace = schema.get("namespace", namespace)
    name = f"{namespace}.{schema['name']}"
    form = types[name] = {"name": name} | {key: schema[key] for key in ("type", "size") if key in schema}
    if "fields" in schema:
        fields = [(field["name"], parsing_form(field["type"], types, namespace)) for field in schema["fields"]]
        form["fields"] = [{"name": name, "type": of} for name, of in fields]
    return form


class Reader:
    """Opens a framed record (section 2.2): `reason` says why it does not open, else `value` what it holds."""

    def __init__(self, schemas: Schemas, name: str, data: bytes, limit: int) -> None:
        self.data, self.at, self.value, self.reason = data, 10, Json(), ""
        self.canonical, self.longest_string = True, 0
        try:
            require(10 <= len(data) <= limit and data[:2] == b"\xc3\x01")
            require(data[:10] in schemas, "schema_unknown")
            record, self.types, _ = schemas[data[:10]]
            require(record["name"].rpartition(".")[2] == name)
            self.value = self.read(record)
            require(self.at == len(data))
        except Refused as refused:
            self.reason = str(refused)

    def strict(self) -> Json:
        """The value, where it must be there and canonical."""
        require(self.reason == "", self.reason)
        require(self.canonical)
        return self.value

    def take(self, size: int) -> bytes:
        require(0 <= size <= len(self.data) - self.at)
        self.at += size
        return self.data[self.at - size : self.at]

    def long(self, bits: int = 64) -> int:
        number, shift, group = 0, -7, 0x80
        while group & 0x80:
            group, shift = self.take(1)[0], shift + 7
            require(shift < 70)
            number |= (group & 0x7F) << shift
        require(number < 2**bits)
        self.canonical &= shift == 0 or group > 0
        return (number >> 1) ^ -(number & 1)

    def read(self, schema: Any) -> Any:
        match schema:
            case "int" | "long":
                return self.long(32 if schema == "int" else 64)
            case "bytes":
                return self.take(self.long())
            case "string":  # U+0000 is nowhere allowed: no step tells it from what is not UTF-8
                data = self.take(self.long())
                self.longest_string = max(self.longest_string, len(data))
                require(data.decode(errors="replace").encode() == data and 0 not in data)
                return data.decode()
            case [_, branch]:  # a union with null
                index = self.long()
                require(index in (0, 1))
                return self.read(branch) if index else None
            case {"items": items}:
                array: list[Any] = []
                while count := self.long():
                    self.canonical &= count > 0 and not array
                    size = self.long() if count < 0 else None
                    start = self.at
                    array.extend(self.read(items) for _ in range(abs(count)))
                    require(size in (None, self.at - start))
                return array
            case {"size": size}:
                return self.take(size)
            case {"fields": fields}:
                return {field["name"]: self.read(field["type"]) for field in fields}
        return self.read(self.types[schema])


def tree_head(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01", tree_head(leaves[:split]), tree_head(leaves[split:]))


def canonical_json(value: Any) -> bytes:
    """RFC 8785; Refused for what no statement holds."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return b"{%b}" % b",".join(canonical_json(name) + b":" + canonical_json(value[name]) for name in names)
    if isinstance(value, list):
        return b"[%b]" % b",".join(map(canonical_json, value))
    require(value is None or isinstance(value, str) or (type(value) is int and abs(value) < 2**53))
    return json.dumps(value, ensure_ascii=False).encode()


def base64url(text: str, size: int) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    require(len(data) == size and base64.urlsafe_b64encode(data).rstrip(b"=") == text.encode())
    return data


def public_key(jwk: Json) -> tuple[str, bytes]:
    """The key_id and the key of a JWK (section 6)."""
    require("d" not in jwk and (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"))
    thumbprint = sha256(canonical_json({name: jwk[name] for name in ("crv", "kty", "x")}))
    return base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode(), base64url(jwk["x"], 32)


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    try:
        VerifyKey(key).verify(message, signature)
    except (BadSignatureError, ValueError):  # ValueError: it has not 64 bytes
        raise Refused("bad_signature") from None


class Bundle:
    """Whom the operator trusts, and with what (section 7); ValueError, LookupError or TypeError if it is refused."""

    def __init__(self, data: bytes, root: bytes, ledger: str) -> None:
        self.keys: dict[str, bytes] = {}
        self.statements: list[tuple[str, Json]] = []  # those of keys, with the key's id
        self.revoked: dict[str, int] = {}  # the earliest time of each key
        *lines, rest = data.split(b"\n")
        require(rest == b"")
        for number, line in enumerate(lines):
            entry = json.loads(line.decode())
            require(canonical_json(entry) == line and set(entry) == {"signature", "statement"})
            says = entry["statement"]
            verify(root, b"answerable/trust/v1\0" + canonical_json(says), base64url(entry["signature"], 64))
            previous = sha256(lines[number - 1]).hex() if number else "0" * 64
            require((says["number"], says["previous"], says["ledger"]) == (number, previous, ledger))
            times = [says["from"]]
            if says["type"] == "revocation":
                require(isinstance(says["key_id"], str))
                self.revoked[says["key_id"]] = min(says["from"], self.revoked.get(says["key_id"], says["from"]))
            else:
                require(says["type"] == "key" and says["role"] in ("source", "importer"))
                for names in (says["tenants"], says["services"], says["kinds"]):
                    require(isinstance(names, list) and names != [] and all(isinstance(name, str) for name in names))
                times += [] if says["until"] is None else [says["until"]]
                key_id, key = public_key(says["key"])
                self.keys[key_id] = key
                self.statements.append((key_id, says))
            require(all(type(time) is int and time >= 0 for time in times))

    def standing(self, key_id: str, tenant: str, service: str, time: int) -> list[Json]:
        """The statements by which a known key may sign."""
        require(time < self.revoked.get(key_id, time + 1), "revoked_key")
        named = [says for key, says in self.statements if key == key_id and {tenant, "*"} & set(says["tenants"])]
        named = [says for says in named if {service, "*"} & set(says["services"])]
        require(named != [], "wrong_scope")
        named = [says for says in named if says["from"] <= time and (says["until"] is None or time < says["until"])]
        require(named != [], "expired_key")
        return named


class Verifier(NamedTuple):
    """Judges records (section 8), and keeps the seals of each chain by digest."""

    bundle: Bundle
    ledger: str
    schemas: Schemas
    erased: set[tuple[str, str]]  # tenant and event digest
    chains: dict[tuple[str, str, str, str], dict[str, Json]]

    def record(self, key: bytes | None, value: bytes | None, time: int) -> Json:
        """What a vector states of an admitted record; Refused for any other."""
        value = value or b""  # neither opens
        require(len(value) <= BATCH_BYTES, "oversize")
        batch = Reader(self.schemas, "SealedBatch", value, BATCH_BYTES).strict()
        signatures, events = batch["signatures"], batch["events"]
        require(1 <= len(events) <= EVENTS and 1 <= len(signatures) <= SIGNATURES)
        seal = Reader(self.schemas, "Seal", batch["seal"], SEAL_BYTES).strict()
        require(seal["format"] == 1, "schema_unknown")
        require(all(0 <= seal[name] <= NUMBER for name in ("seal_number", "first_sequence", "sealed_at")))
        require(0 <= (seal["next_within"] or 0) <= NEXT_WITHIN)
        require((seal["seal_number"] == 0) == (seal["previous_seal"] == bytes(32)) == (seal["first_sequence"] == 0))
        require(seal["ledger"] == self.ledger, "wrong_ledger")
        require(seal["chain_id"] == key, "wrong_key")
        chain = (seal["tenant"], seal["service"], seal["key_id"], seal["chain_id"].hex())
        require(seal["key_id"] in self.bundle.keys, "unknown_key")
        require(signatures[0]["key_id"] == seal["key_id"], "bad_signature")
        message = b"answerable/seal/v1\0" + batch["seal"]
        verify(self.bundle.keys[seal["key_id"]], message, signatures[0]["signature"])
        statements = self.bundle.standing(seal["key_id"], seal["tenant"], seal["service"], time)
        self.check_events(seal, events)
        frames = [value, batch["seal"], *(event[part] or b"" for event in events for part in ("header", "payload"))]
        pairs = {self.schemas[frame[:10]][2] if frame[:10] in self.schemas else b"" for frame in frames}
        require(b"" in pairs or sha256(*sorted(pairs)) == seal["schemas"], "schema_unknown")
        digest = sha256(message).hex()
        self.chains.setdefault(chain, {})[digest] = seal
        ahead, behind = seal["sealed_at"] > time + SEALED_AHEAD, seal["sealed_at"] < time - SEALED_BEHIND
        return {
            "verdict": "admitted",
            "seal_digest": digest,
            "role": "source" if "source" in [says["role"] for says in statements] else "importer",
            "findings": ["clock_skew"] if ahead else ["late"] if behind else [],
            "events": [
                {"sequence": sequence, "digest": event["digest"].hex(), **self.event(event, statements, time)}
                for sequence, event in enumerate(events, seal["first_sequence"])
            ],
        }

    def check_events(self, seal: Json, events: list[Json]) -> None:
        """Steps 13 to 16; each event gets its digest and its header's reader."""
        names = [seal[name].encode() for name in ("ledger", "tenant", "service")]
        context = sha256(b"answerable/event/v1\0", *(len(name).to_bytes(4, "big") + name for name in names))
        for event in events:
            event["digest"] = sha256(b"\0", context, event["header"])
            header = event["reader"] = Reader(self.schemas, "EventHeader", event["header"], HEADER_BYTES)
            if header.reason == "":
                uuid, limits = header.value["event_id"], header.longest_string <= HEADER_STRING_BYTES
                limits = limits and len(header.value["causes"]) <= CAUSES
                valid = limits and uuid[6] & 0xF0 in (0x70, 0x80) and uuid[8] & 0xC0 == 0x80
                header.reason = "" if valid else "malformed"
        root = tree_head([event["digest"] for event in events])
        require((len(events), root) == (seal["event_count"], seal["events_root"]), "bad_root")
        require(all(event["reader"].reason != "schema_unknown" for event in events), "schema_unknown")
        for event in events:
            if event["payload"] is None:
                erased = (seal["tenant"], event["digest"].hex()) in self.erased
                require(erased and event["salt"] == bytes(16), "bad_payload")
            elif event["reader"].reason == "":
                digest = sha256(b"answerable/payload/v1\0", event["salt"], event["payload"])
                require(digest == event["reader"].value["payload_digest"], "bad_payload")
        first, last = (
            "" if event["reader"].reason else event["reader"].value["kind"] for event in (events[0], events[-1])
        )
        require((seal["seal_number"] == 0) == (first == "chain_open"))
        require((seal["next_within"] == 0) == (last == "chain_close"))

    def event(self, event: Json, statements: list[Json], time: int) -> Json:
        """Step 18, and the findings."""
        header, canonical, unknown = event["reader"].value, event["reader"].canonical, False
        if event["reader"].reason:
            return {"verdict": "malformed", "findings": []}
        if event["payload"] is not None:
            payload = Reader(self.schemas, header["kind"], event["payload"], PAYLOAD_BYTES)
            canonical, unknown = canonical and payload.canonical, payload.reason == "schema_unknown"
            if not unknown and (payload.reason or header["kind"] in NOT_KINDS):
                return {"verdict": "unprojectable", "findings": []}
        latest = max(header["occurred_at"], int.from_bytes(header["event_id"][:6], "big") * 1000)
        kind, kinds = header["kind"], {kind for says in statements for kind in says["kinds"]}
        findings = {
            "clock_skew": header["occurred_at"] < 0 or latest > time + EVENT_AHEAD,
            "non_canonical": not canonical,
            "schema_unknown": unknown,
            "unauthorized_kind": kind not in kinds and ("*" not in kinds or kind in NAMED_KINDS),
            "unknown_relation": not RELATIONS.issuperset(cause["relation"] for cause in header["causes"]),
        }
        return {"verdict": "admitted", "findings": [name for name, found in findings.items() if found]}


def chain_state(seals: dict[str, Json]) -> Json:
    """Runs, close and findings of a chain, from its seals by digest (section 9)."""
    count = Counter(seal["seal_number"] for seal in seals.values())
    starts = sorted(number for number in count if number - 1 not in count)
    stops = sorted(number for number in count if number + 1 not in count)
    closed_at = min((seal["seal_number"] for seal in seals.values() if seal["next_within"] == 0), default=None)
    found = [
        ("gap", stop + 1, start - 1, "") for stop, start in zip([-1, *stops], starts, strict=False) if stop + 1 < start
    ]
    if closed_at is not None and stops[-1] > closed_at:
        found.append(("sealed_after_close", closed_at, closed_at, ""))
    for digest, seal in seals.items():
        number, parent = seal["seal_number"], seals.get(seal["previous_seal"].hex(), seal)
        end = (parent["seal_number"] + 1, parent["first_sequence"] + parent["event_count"])
        follows = end == (number, seal["first_sequence"])
        found += [("fork", number, number, digest)] * (count[number] > 1)
        found += [("broken_link", number, number, digest)] * (number - 1 in count and not follows)
        found += [("clock_skew", number, number, digest)] * (follows and parent["sealed_at"] > seal["sealed_at"])
    names = ("name", "number", "until", "digest")
    stated = [dict(zip(names, (*finding, digest or None), strict=False)) for *finding, digest in sorted(found)]
    return {"runs": [list(run) for run in zip(starts, stops, strict=False)], "closed_at": closed_at, "findings": stated}


def check(vector: Json, schemas: Schemas) -> list[str]:
    """How a vector differs from what this verifier finds."""
    found: Json = {"bundle_verdict": "accepted", "expect": [], "chains": []}
    try:
        bundle = Bundle(base64.b64decode(vector["bundle"]), public_key(vector["root"])[1], vector["ledger"])
    except (ValueError, LookupError, TypeError, RecursionError):
        found["bundle_verdict"], bundle = "refused", None
    if bundle:
        erased = {(item["tenant"], item["event"]) for item in vector["erased"]}
        verifier = Verifier(bundle, vector["ledger"], schemas, erased, {})
        for record in vector["records"]:
            key, value = (None if record[name] is None else bytes.fromhex(record[name]) for name in ("key", "value"))
            value = value and value + bytes(record.get("zeros", 0))
            try:
                found["expect"].append(verifier.record(key, value, record["append_time"]))
            except Refused as refused:
                found["expect"].append({"verdict": str(refused)})
        names = ("tenant", "service", "key_id", "chain_id")
        found["chains"] = [
            dict(zip(names, key, strict=False)) | chain_state(seals) for key, seals in sorted(verifier.chains.items())
        ]
    return [f"{name}: expected {vector[name]}, found {found[name]}" for name in found if vector[name] != found[name]]


if __name__ == "__main__":
    known = load_schemas(Path(__file__).parents[1] / "schemas")
    results = {path.name: check(json.loads(path.read_bytes()), known) for path in Path(sys.argv[1]).glob("*.json")}
    print("\n".join(f"{name}: " + ("; ".join(found) or "holds") for name, found in sorted(results.items())))
    raise SystemExit(1 if any(results.values()) or not results else 0)
