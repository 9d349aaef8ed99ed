"""Drift: what differs between what GitOps applied and what a cluster holds, as pure steps.

Nothing here reads a clock, a file of the user's, a cluster or a topic: state and batch come in, facts go out.
"""
