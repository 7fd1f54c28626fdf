# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's scenarios (`extensions/molecule`): the hosts that they run on, and all of them in one go.

`make molecule` runs all of them on one lab; `molecule test -s ROLE` one of them, on a lab of its own.
"""
