"""Publishes the schemas that ``schemas/LOCK`` does not list yet. For maintainers; what is listed is never touched."""

from __future__ import annotations

from pathlib import Path

from ledger.format.lock import lock_line, read_lock

FOLDER = Path(__file__).parents[1] / "schemas"


def publish(folder: Path) -> list[str]:
    """Appends the missing lines, in order of file name, and returns them."""
    lock = folder / "LOCK"
    listed = {each.file for each in read_lock(lock.read_text())}
    missing = [
        lock_line(each.name, each.read_bytes()) for each in sorted(folder.glob("*.avsc")) if each.name not in listed
    ]
    with lock.open("a") as end:
        end.writelines(f"{line}\n" for line in missing)
    return missing


if __name__ == "__main__":
    print("\n".join(publish(FOLDER)) or "nothing to add")
