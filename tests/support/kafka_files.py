"""What a Kafka on this machine is made of: the jars from Maven, the installed Java, and an archive of loaded classes.

    fetch_jars ── mvn copy-dependencies ──▶ ~/.cache/vigil/kafka-<version>                      once, then reused
    class_archive                           ~/.cache/vigil/kafka-<version>-<digest of Java>.jsa

With the archive Java need not read and verify some 10,000 classes at each start: two thirds of the CPU time of a start.
Maven takes the artefacts from wherever the user's own settings say. VIGIL_KAFKA_CACHE names another cache directory,
VIGIL_KAFKA_VERSION another version.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from vigil.app.kafka.embedded_broker import BrokerError

VERSION = "4.3.1"
OLDEST_JAVA = 17

# Kafka's library has no logging backend, and its command-line tools (ACLs) are a separate artefact, which needs only
# dependencies that the broker already has.
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>vigil</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def why_not() -> str | None:
    """Return why this machine cannot run Apache Kafka; None if it can."""
    if program("java") is None:
        return f"there is no Java here (Kafka {version()} needs {OLDEST_JAVA} or later: `java` on PATH or JAVA_HOME)"
    if (found := _java_version()) < OLDEST_JAVA:
        return f"the Java here is version {found} (Kafka {version()} needs {OLDEST_JAVA} or later)"
    if not _cached().is_dir() and program("mvn") is None:
        return f"Kafka's jars are not in {_cached()} and there is no Maven (`mvn`) here to fetch them with"
    return None


def version() -> str:
    """Return the version of Kafka that is used."""
    return os.environ.get("VIGIL_KAFKA_VERSION", VERSION)


def fetch_jars() -> Path:
    """Return the directory with Kafka's jars, downloaded by Maven if it does not exist. Raises `BrokerError`."""
    jars = _cached()
    if jars.is_dir():
        return jars
    mvn = program("mvn")
    if mvn is None:
        raise BrokerError(f"{jars} does not exist and there is no Maven (`mvn`) on PATH to fill it with")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():  # another process has created it meanwhile
            return jars
        with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f".{jars.name}-") as work:
            pom = Path(work, "pom.xml")
            pom.write_text(_POM.format(version=version()))
            asked = [mvn, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
            run = subprocess.run(
                [*asked, "-DincludeScope=runtime", f"-DoutputDirectory={work}/jars"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if run.returncode != 0:
                raise BrokerError(
                    f"Maven could not fetch Kafka {version()} ({' '.join(asked)}):\n{run.stdout[-3_000:]}"
                )
            Path(work, "jars").rename(jars)  # atomic: complete or not at all
    return jars


def class_archive() -> Path:
    """Return where the archive of this version of Kafka and this Java is, once `save_class_archive` has made it."""
    java = hashlib.sha256(_java_words().encode()).hexdigest()[:12]
    return _cached().with_name(f"{_cached().name}-{java}.jsa")


def _cached() -> Path:
    root = os.environ.get("VIGIL_KAFKA_CACHE")
    return (Path(root).resolve() if root else Path.home() / ".cache" / "vigil") / f"kafka-{version()}"


def program(name: str) -> str | None:
    """Return the path of a program; of Java, that of JAVA_HOME if there is one."""
    home = os.environ.get("JAVA_HOME")
    inside = Path(home, "bin", name) if home and name == "java" else None
    return str(inside) if inside is not None and os.access(inside, os.X_OK) else shutil.which(name)


def _java_version() -> int:
    """Return the feature release: 17 for 17.0.15, 8 for 1.8.0; 0 if `java -version` prints something else."""
    found = re.search(r'version "(?:1\.)?(\d+)', _java_words())
    return int(found[1]) if found else 0


def _java_words() -> str:
    """What `java -version` prints."""
    java = Path(program("java") or "java")
    return _version_words(java, java.stat().st_mtime_ns if java.exists() else 0)


@cache
def _version_words(java: Path, _changed_ns: int) -> str:
    """Asked once of each Java: the answer takes a Java process."""
    return subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
