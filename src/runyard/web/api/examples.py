"""What a body may look like, for each shape that one has."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any] | list[dict[str, Any]]] = {
    "NewJob": [
        {
            "name": "linux-build",
            "command": ["make", "-f", "Makefile", "all"],
            "working_dir": "/workspace/project",
            "env": {"BUILD_MODE": "release"},
            "payload": {"note": "nightly regression"},
            "queue": "local",
            "priority": "high",
            "timeout": 3600,
            "labels": {"nightly": ""},
            "idempotency_key": "linux-build-2026-11-25",
        },
        {
            "name": "ui",
            "command": ["npx", "playwright", "test", "--project={browser}-{os}"],
            "matrix": {"browser": ["chromium", "firefox"], "os": ["linux", "mac"]},
            "exclude": [{"browser": "firefox", "os": "mac"}],
            "idempotency_key": "ui-2026-11-25",
        },
    ],
    "NewBatch": {
        "name": "nightly-ui-suite",
        "description": "two browsers, on two systems",
        "matrix": {"browser": ["chromium", "firefox"], "os": ["linux", "mac"]},
        "exclude": [{"browser": "firefox", "os": "mac"}],
        "jobs": [
            {"name": "unit", "command": ["pytest", "tests/unit"], "matrix": {}},
            {
                "name": "ui",
                "command": ["npx", "playwright", "test", "--project={browser}-{os}"],
                "depends_on": ["unit"],
            },
        ],
        "idempotency_key": "nightly-2026-11-25",
    },
    "NewPriority": {"priority": "high"},
    "Several": {"ids": ["7k2m9qx41vbtc", "b-c0773e100vh44"]},
    "Patience": {"ids": ["b-c0773e100vh44"], "seconds": 20},
    "SavedTemplate": {
        "document": {
            "description": "all suites on one branch",
            "parameters": {"branch": "main", "shards": 2, "build": None},
            "tasks": [
                {
                    "name": "test {branch}",
                    "command": [
                        "./test",
                        "--build",
                        "{build}",
                        "--branch",
                        "{branch}",
                        "--shards",
                        "{shards}",
                    ],
                }
            ],
        },
        "directory": "/srv/app",
    },
    "Values": {"parameters": {"build": "1.4", "branch": "release", "shards": 4}},
    "NewSchedule": {
        "name": "nightly",
        "template": "tests",
        "cron": "0 2 * * mon-fri",
        "timezone": "Europe/Prague",
        "parameters": {"build": "latest"},
        "missed": "once",
        "overlap": "skip",
    },
    "NewUser": {"name": "max", "role": "member", "org_id": "acme", "password": "a long sentence"},
    "ChangedUser": {"role": "viewer"},
    "NewToken": {"name": "ci", "scope": "submit", "days": 30},
    "ChangedLimit": {"scope": "org", "name": "acme", "running": 4, "waiting": 500},
    "Pausable": {"scope": "target", "name": "browserstack"},
}


def illustrate(document: dict[str, Any]) -> None:
    """Put them into an OpenAPI document."""
    shapes = document["components"]["schemas"]
    for name, example in EXAMPLES.items():
        shapes[name]["examples"] = example if isinstance(example, list) else [example]
