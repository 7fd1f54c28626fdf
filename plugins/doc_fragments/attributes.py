# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules have in common, but for those that say otherwise."""

from __future__ import annotations


class ModuleDocFragment:
    # What a module does in check mode, it says itself.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Is not supported.
    support: none
"""
