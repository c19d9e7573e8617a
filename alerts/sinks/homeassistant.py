"""Home Assistant's MQTT discovery: each camera becomes a device, without a line of its YAML."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

from alerts.event import HealthState
from alerts.sinks.mqtt_state import topic_word
from sorawatch import __version__

ONLINE, OFFLINE = b"online", b"offline"
Pictures = Literal["send", "url", "off"]


def discovery(
    discovery_prefix: str,
    prefix: str,
    camera: str,
    *,
    pictures: Pictures = "send",
) -> Iterator[tuple[str, bytes]]:
    """Topic and configuration of each entity of a camera, to be retained."""
    topic = f"{prefix}/{topic_word(camera)}"
    device_id = re.sub(r"[^A-Za-z0-9_-]", "_", f"{prefix}_{camera}")
    shared: dict[str, Any] = {
        "availability_topic": f"{prefix}/available",
        "device": {
            "identifiers": [device_id],
            "name": camera,
            "manufacturer": "Sorawatch",
            "model": "watched camera",
            "sw_version": __version__,
        },
        "origin": {"name": "Sorawatch", "sw_version": __version__},
    }
    alert: dict[str, Any] = {
        "name": "Alert",
        "state_topic": f"{topic}/alert",
        "payload_on": "ON",
        "payload_off": "OFF",
        "device_class": "safety",
        "json_attributes_topic": f"{topic}/newest",
    }
    entities: list[tuple[str, str, dict[str, Any]]] = [
        ("binary_sensor", "alert", alert),
        (
            *("sensor", "score"),
            {
                "name": "Score",
                "state_topic": f"{topic}/score",
                "state_class": "measurement",
                "icon": "mdi:gauge",
            },
        ),
        (
            *("sensor", "state"),
            {
                "name": "State",
                "state_topic": f"{topic}/state",
                "device_class": "enum",
                "options": list(get_args(HealthState)),
                "entity_category": "diagnostic",
            },
        ),
    ]
    if pictures == "send":
        picture = {"image_topic": f"{topic}/picture", "content_type": "image/jpeg"}
        entities.append(("image", "picture", {"name": "Picture", **picture}))
    elif pictures == "url":
        entities.append(("image", "picture", {"name": "Picture", "url_topic": f"{topic}/picture"}))
    for kind, name, facts in entities:
        config = {"unique_id": f"{device_id}_{name}", **facts, **shared}
        yield f"{discovery_prefix}/{kind}/{device_id}/{name}/config", json.dumps(config).encode()
