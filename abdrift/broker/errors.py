"""What can keep an embedded broker from running; every message ends with the way out."""


class BrokerError(RuntimeError):
    """The embedded broker can't do what was asked."""


class JavaMissingError(BrokerError):
    """No Java runtime that works was found."""


class JarsError(BrokerError):
    """Kafka's jars can't be fetched, or are not those that the lock file names."""


class PortTakenError(BrokerError):
    """Another process listens on a port that the broker needs."""


class DiskError(BrokerError):
    """The data directory can't be written: read-only, full, not permitted, or not a directory."""


class DataDirInUseError(BrokerError):
    """Another broker runs on this data directory."""


class DataDirCorruptError(BrokerError):
    """The data directory holds something that no broker can start from."""


class StartError(BrokerError):
    """Kafka exited or stayed silent while starting; the message carries the end of its log."""
