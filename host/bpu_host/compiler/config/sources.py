"""`input_source`: a mapping, or the chapter's text `"data": "ddr"`."""

from __future__ import annotations

import yaml

DEFAULT_SOURCE = "_default_value"
"""A name that vendor files use for all inputs that are not named."""


def read_sources(value: object) -> object:  # raw YAML
    """Input name -> source, in lower case.

    Raises:
        ValueError: it is no mapping of texts.
    """
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value if value.lstrip().startswith("{") else f"{{{value}}}")
        except yaml.YAMLError:
            value = None
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = {key: item for each in value for key, item in each.items()}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(
            'must be a mapping from input names to ddr or pyramid, such as {"data": "ddr"}'
        )
    return {str(name): item.strip().lower() for name, item in value.items()}
