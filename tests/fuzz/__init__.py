# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a camera says is read by few functions; here each of them is given what no camera ever said.

`python -m fuzz` runs them all for a minute each; atheris looks for inputs that reach new lines of ours.
"""
