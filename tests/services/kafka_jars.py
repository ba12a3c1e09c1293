"""Apache Kafka's jars, resolved once by Maven into the user's cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

KAFKA = "4.1.0"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>answerable</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class Missing(Exception):
    """What a launcher needs is not installed; the message says what to install."""


def java() -> str:
    """The path of a Java 17 or newer; raises ``Missing``."""
    program = shutil.which("java")
    if program is None:
        raise Missing("Kafka needs Java 17 or newer: install openjdk-17-jre-headless (Debian) or another JRE")
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < 17:
        raise Missing(f"Kafka needs Java 17 or newer, {program} is {told.splitlines()[:1]}")
    return program


def jars() -> Path:
    """The folder with the jars; the first call downloads 43 MB. Raises ``Missing`` where there is no Maven."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "answerable"
    folder = cache / f"kafka-{KAFKA}"
    if folder.exists():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("Kafka's jars come by Maven: install maven (Debian: apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _resolve(maven, folder)
    return folder


def _resolve(maven: str, folder: Path) -> None:
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    (fresh / "pom.xml").write_text(POM)
    command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
    done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Missing(f"Maven could not fetch Kafka's jars: {done.stdout[-2000:]}")
    fresh.rename(folder)
