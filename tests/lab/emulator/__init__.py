# SPDX-License-Identifier: GPL-3.0-or-later
"""A WildBerryEye camera without its hardware: the same HTTP API, the same quirks, faults on request.

    PYTHONPATH=tests/lab python3 -m emulator object --image-dir DIR --state-dir DIR [--port 5000]

**Only for throw-away containers and loopback.** Like the real camera it has no password, and its
`delete-images` and `download-images` follow `../` to any file it may touch. That is deliberate: tests
must be able to find out that the orchestrator never passes such a name on.

Tests talk to it through the state directory, which lies outside the image directory:

    settings.json    read once at process start: see `settings.Settings`
    faults.json      re-read whenever it changes: see `faults.Faults`; `faults.text()` checks a spelling
    written.jsonl    begin, end, lost, deleted: the truth about every picture (`camera.Camera.store`)
    detecting.jsonl  every change of "this camera really produces images now"
    requests.jsonl   `answered` for every request, and `begin` for each that is made to wait

`at` is true time, in seconds since the epoch; only the camera's own clock can be set wrong.
"""
