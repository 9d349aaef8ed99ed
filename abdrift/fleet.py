"""The fleet file: which clusters one process watches or acts on, and as whom."""

from pathlib import Path

import yaml
from pydantic import Field

from abdrift import configuration
from abdrift.configuration import ConfigurationError, Settings, doubled


class Member(Settings):
    """One cluster."""

    name: str = Field(min_length=1, max_length=253, description="Unique in the fleet.")
    kubeconfig: Path | None = Field(default=None, description="Who observes; absent: the Pod's ServiceAccount.")
    context: str | None = None
    acting_kubeconfig: Path | None = Field(default=None, description="Who acts; absent: as who observes.")
    labels: dict[str, str] = Field(default_factory=dict, description="site, region, environment, customer, wave, …")

    @property
    def acting(self) -> Path | None:
        """The kubeconfig by which commands are carried out."""
        return self.acting_kubeconfig or self.kubeconfig


class Fleet(Settings):
    """The clusters of one process."""

    clusters: tuple[Member, ...] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> "Fleet":
        """Read a YAML or JSON file.

        Raises:
            ConfigurationError: it cannot be read, or is no fleet.

        """
        fleet = configuration.load(cls, path)
        if twice := doubled(member.name for member in fleet.clusters):
            raise ConfigurationError(f"{path}: {twice} is named twice; names are unique in a fleet")
        return fleet

    def write(self, path: Path) -> None:
        """Write the file that `load` reads."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False))
