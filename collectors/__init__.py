"""From outside to `abdrift.signals.*`: what clusters, Git and other senders say, made into frames.

Forbidden here: judging. A collector reports what it saw and how well it could see; whether that is drift or ill
health is for `streams` to say. It imports no other stage.
"""
