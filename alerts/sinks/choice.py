"""Which events go to a sink."""

from dataclasses import dataclass

from alerts.event import Event


@dataclass(frozen=True, slots=True)
class Choice:
    """Events of these cameras, kinds, severities and types alone; None stands for all."""

    cameras: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    severities: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def takes(self, event: Event) -> bool:
        """Whether `event` is wanted."""
        return (
            self.takes_camera(event.camera)
            and (self.kinds is None or event.kind in self.kinds)
            and (self.severities is None or event.severity in self.severities)
            and (self.types is None or event.type in self.types)
        )

    def takes_camera(self, camera: str) -> bool:
        """Whether any event of `camera` can be wanted."""
        return self.cameras is None or camera in self.cameras
