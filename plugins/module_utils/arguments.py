# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that several modules take. doc_fragments/arguments.py describes them, under the same names."""

from __future__ import annotations

from typing import Any

Arguments = dict[str, dict[str, Any]]

DATA_DIR: Arguments = {"data_dir": {"type": "path", "required": True}}
CARD: Arguments = {"image_dir": {"type": "path", "required": True}}
LOOSE: Arguments = {"fallback": {"type": "str", "default": "unclaimed"}}
UNIT: Arguments = {"service": {"type": "str", "default": "wildberryeye.service"}}
MODE: Arguments = {"mode": {"type": "str", "choices": ["object", "motion"], "required": True}}
API: Arguments = {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5000}}
COLLECTION: Arguments = {
    "purpose": {"type": "str", "choices": ["start", "stop", "collect"], "required": True},
    "set_aside": {"type": "str", "choices": ["none", "stable"], "default": "none"},
    "method": {"type": "str", "choices": ["zip", "files"], "default": "zip"},
}
PATIENCE: Arguments = {"timeout": {"type": "int", "default": 10800}}
VISITS: Arguments = {
    "visit_gap": {"type": "float", "default": 30},
    "visit_minimum": {"type": "int", "default": 2},
    "heartbeat_interval": {"type": "float", "default": 60},
}
