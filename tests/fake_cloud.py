"""Buckets, Spaces and Jobs for the stand-in Hub; what is launched there really runs.

A Job or a Space is a program on this machine with the environment it would have: the wheel that was
uploaded, its secrets, a disk of its own, and the Hub on loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fake_xet import FakeXet

if TYPE_CHECKING:
    from tests.fake_hub import Answer, FakeHub

T4 = {"type": "gpu", "model": "T4", "quantity": "1", "vram": "16 GB", "manufacturer": "Nvidia"}
# The form is that of `GET /api/jobs/hardware`; names, sizes and prices are made up.
HARDWARE = [
    {"name": "cpu-basic", "ram": "16 GB", "ephemeralStorage": "50 GB", "unitCostUSD": 0.0},
    {"name": "cpu-tiny-disk", "ram": "16 GB", "ephemeralStorage": "1 GB", "unitCostUSD": 0.0},
    {"name": "t4-small", "ram": "15 GB", "accelerator": T4, "unitCostUSD": 0.01},
]
VERBS = {
    "secrets",
    "variables",
    "volumes",
    "hardware",
    "sleeptime",
    "pause",
    "restart",
    "logs",
    "runtime",
}
SPACE = "import sys; from space_app.worker import Worker; Worker(*sys.argv[1:]).run_waiting()"


@dataclass
class Program:
    """Something that runs on hardware."""

    process: subprocess.Popen[str] | None = None
    log: Path | None = None
    canceled: bool = False

    @property
    def stage(self) -> str:
        if self.canceled:
            return "CANCELED"
        assert self.process is not None
        code = self.process.poll()
        return "RUNNING" if code is None else "COMPLETED" if code == 0 else "ERROR"


@dataclass
class FakeCloud:
    """State by name; ``run`` is off where a test only wants to see what was asked."""

    hub: FakeHub
    folder: Path
    run: bool = True
    xet: FakeXet = field(default_factory=FakeXet)
    buckets: dict[str, dict[str, str]] = field(default_factory=dict)  # hashes by path
    spaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)  # environment of what runs

    def __post_init__(self) -> None:
        self.hub.routes.append(self.route)
        self.hub.open_routes.append(self.storage)

    def close(self) -> None:
        for program in self.programs.values():
            if program.process and program.process.poll() is None:
                program.process.kill()
                program.process.wait()

    def wait(self, name: str) -> str:
        """Until a program ends; what it printed."""
        program = self.programs[name]
        assert program.process is not None
        assert program.log is not None
        program.process.wait()
        return program.log.read_text()

    def names(self, bucket: str, under: str = "") -> list[str]:
        return sorted(p for p in self.buckets[bucket] if p.startswith(under))

    # Routes

    def storage(self, _method: str, path: str, headers: Any, body: bytes) -> Answer | None:
        if not path.startswith("/xet/"):
            return None
        status, content = self.xet.answer(path, headers, body, f"{self.hub.url}/xet")
        return status, content, {}

    def route(self, method: str, path: str, _headers: Any, body: bytes) -> Answer | None:
        parts = path.strip("/").split("/")
        if parts[0] == "buckets" and "resolve" in parts:
            return self._resolve("/".join(parts[1:3]), "/".join(parts[4:]))
        if parts[-1] == "hardware" and method == "GET":
            return _json([_listed(entry) for entry in HARDWARE])
        if parts[:2] == ["api", "buckets"]:
            return self._bucket(method, "/".join(parts[2:4]), parts[4:], body)
        if parts[:2] == ["api", "jobs"]:
            return self._jobs(method, parts[2], parts[3:], json.loads(body or b"{}"))
        if parts[:2] == ["api", "spaces"] and len(parts) > 4:
            return self._space("/".join(parts[2:4]), parts[4:], body)
        return None

    def _resolve(self, bucket: str, path: str) -> Answer:
        name = self.buckets[bucket][path]
        route = f"{self.hub.url}/api/buckets/{bucket}/xet-read-token"
        about = {"X-Xet-Hash": name, "X-Xet-Refresh-Route": route}
        return 200, b"", about | {"X-Linked-Size": str(self.xet.size(name))}

    def _bucket(self, method: str, name: str, verb: list[str], body: bytes) -> Answer:
        if not verb and method == "POST":
            known = name in self.buckets
            self.buckets.setdefault(name, {})
            return _json({"url": f"{self.hub.url}/buckets/{name}"}, 409 if known else 200)
        if name not in self.buckets:
            return _json({"error": "no such bucket"}, 404)
        files = self.buckets[name]
        if verb[0].startswith("xet-"):
            address = f"{self.hub.url}/xet"
            token = {"accessToken": "t", "exp": int(time.time()) + 3600, "casUrl": address}
            return _json(token)
        if verb[0] == "batch":
            for operation in map(json.loads, body.splitlines()):
                if operation["type"] == "addFile":
                    files[operation["path"]] = operation["xetHash"]
                else:
                    files.pop(operation["path"], None)
            return _json({"success": True, "failed": []})
        if verb[0] == "paths-info":
            return _json([self._file(p, files[p]) for p in json.loads(body)["paths"] if p in files])
        under = "/".join(verb[1:])
        return _json([self._file(p, h) for p, h in files.items() if p.startswith(under)])

    def _file(self, path: str, name: str) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": self.xet.size(name), "xetHash": name}

    def _space(self, name: str, verb: list[str], body: bytes) -> Answer | None:
        if verb[0] not in VERBS:
            return None
        asked = json.loads(body or b"{}")
        space = self.spaces.setdefault(
            name, {"hardware": "cpu-basic", "stage": "RUNNING", "secrets": {}, "variables": {}}
        )
        if verb[0] in {"secrets", "variables"}:
            if asked:
                space[verb[0]][asked["key"]] = asked["value"]
            return _json({key: {"value": value} for key, value in space[verb[0]].items()})
        if verb[0] == "volumes":
            space["volumes"] = asked["volumes"]
        elif verb[0] == "hardware":
            space |= {"hardware": asked["flavor"], "sleep": asked.get("sleepTimeSeconds")}
            if asked["flavor"] != "cpu-basic":
                self._start_space(name, space)
        elif verb[0] == "sleeptime":
            space["sleep"] = asked["seconds"]
        elif verb[0] == "pause":
            space["stage"] = "PAUSED"
        elif verb[0] == "restart":
            space["stage"] = "RUNNING"
            self._start_space(name, space)
        elif verb[0] == "logs":
            return self._log(name)
        hardware = {"current": space["hardware"], "requested": space["hardware"]}
        return _json({"stage": space["stage"], "hardware": hardware})

    def _jobs(self, method: str, namespace: str, verb: list[str], asked: Any) -> Answer:
        if not verb and method == "POST":
            job = f"job{len(self.jobs)}"
            self.jobs[job] = {"namespace": namespace, **asked}
            self.programs[job] = Program()
            if self.run:
                self._start_job(job, asked)
            return _json(self._info(job))
        if not verb:
            return _json([self._info(job) for job in reversed(self.jobs)])
        job = verb[0]
        if verb[1:] == ["logs"]:
            return self._log(job)
        if verb[1:] == ["cancel"]:
            self.programs[job].canceled = True
            self.close()
        return _json(self._info(job))

    def _info(self, job: str) -> dict[str, Any]:
        program = self.programs[job]
        stage = program.stage if program.process or program.canceled else "SCHEDULING"
        owner = {"id": "1", "name": self.jobs[job]["namespace"], "type": "user"}
        return {"id": job, "owner": owner, "status": {"stage": stage, "message": None}}

    def _log(self, name: str) -> Answer:
        log = self.programs[name].log if name in self.programs else None
        lines = log.read_text().splitlines() if log else []
        stamp = "2026-01-01T00:00:00.000Z"
        events = [f"data: {json.dumps({'data': x, 'timestamp': stamp})}\n\n" for x in lines]
        return 200, "".join(events).encode(), {"Content-Type": "text/event-stream"}

    # What runs

    def _start_job(self, job: str, asked: dict[str, Any]) -> None:
        """``uv run --with PACKAGE python ARGUMENTS``, with the bucket mounted."""
        (volume,) = asked["volumes"]
        mount = self._mount(volume["source"], self.folder / job)
        command = [part.replace(volume["mountPath"], str(mount)) for part in asked["command"]]
        assert command[:3] == ["uv", "run", "--with"]
        wheel = command[3].partition("@ file://")[2]
        packages = self._install(Path(wheel), self.folder / job)
        assert command[4] == "python"
        self._start(job, command[5:], packages, asked["secrets"])

    def _start_space(self, name: str, space: dict[str, Any]) -> None:
        running = self.programs.get(name, Program()).process
        if not self.run or (running and running.poll() is None):
            return
        folder = self.folder / name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        ((path, content),) = [f for f in self.hub.files[name].items() if f[0].endswith(".whl")]
        (folder / path).write_bytes(content)
        packages = self._install(folder / path, folder)
        arguments = ["-c", SPACE, space["variables"]["PATTERNHUB_BUCKET"], name]
        self.programs[name] = Program()
        self._start(name, arguments, packages, space["secrets"])

    def _start(
        self, name: str, arguments: list[str], packages: Path, secrets: dict[str, str]
    ) -> None:
        place = packages.parent
        disk = place / "disk"
        disk.mkdir(exist_ok=True)
        program = self.programs[name]
        program.log = place / "log.txt"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        given = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(disk / "hf"),
            "TMPDIR": str(disk),
            "PYTHONPATH": str(packages),
            "OMP_NUM_THREADS": "1",
        }
        with program.log.open("a") as log:
            program.process = subprocess.Popen(
                [sys.executable, *arguments],
                env=inherited | given | secrets | self.extra,
                cwd=disk,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def _install(self, wheel: Path, place: Path) -> Path:
        packages = place / "packages"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
        return packages

    def _mount(self, bucket: str, place: Path) -> Path:
        """The bucket as a folder, read through the real client: what is there when it starts."""
        from huggingface_hub import HfApi

        mount = place / "data"
        files = [(path, mount / path) for path in self.buckets[bucket]]
        for _, target in files:
            target.parent.mkdir(parents=True, exist_ok=True)
        HfApi().download_bucket_files(bucket, list(files))
        return mount


def _json(value: Any, status: int = 200) -> Answer:
    return status, json.dumps(value).encode(), {"Content-Type": "application/json"}


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    cost = entry["unitCostUSD"]
    fixed = {"prettyName": entry["name"], "cpu": "2 vCPU", "unitLabel": "minute"}
    return {"ephemeralStorage": "50 GB"} | fixed | entry | {"unitCostMicroUSD": int(cost * 1e6)}
