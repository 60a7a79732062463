# SPDX-License-Identifier: Apache-2.0
"""Harness of the scenarios: namespaces, a firewall, SIP devices, and the proxy under test."""
