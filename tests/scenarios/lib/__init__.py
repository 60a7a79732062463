"""Harness of the scenarios: namespaces, a firewall, SIP devices, and the proxy under test."""
