"""Files that come with Sorawatch: an example configuration, training recipes, deployment."""

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path


def path(name: str) -> AbstractContextManager[Path]:
    """The file `name` of this package, such as `example.yaml`, as a path to open.

    Works from a source tree, an installed wheel and an archive. Raises FileNotFoundError.
    """
    file = resources.files(__name__).joinpath(name)
    if not file.is_file():
        raise FileNotFoundError(f"Sorawatch comes with no file {name}")
    return resources.as_file(file)
