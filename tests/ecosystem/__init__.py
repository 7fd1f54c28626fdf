# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Ansible ecosystem asks of a collection: built, installed, and put before its own tools.

`make sanity` runs all of it, and prints what was asked and how long it took.
"""
