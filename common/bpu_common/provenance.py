"""Where a compiled model comes from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a conversion was made of; the same inputs and versions give an equal value.

    Holds no times and no absolute paths. Digests are SHA-256 in hexadecimal.

    Attributes:
        source_sha256: of all `source_files` one after the other.
        source_files: digest of the model file and then of each file of external data, by name
            relative to the model's folder.
        samples_sha256: of the calibration samples that were used, as the network was fed with
            them.
        configuration: the settings in effect, as text by `group.key`.
        versions: of `openbpu`, `python` and the libraries whose results matter, by name.
        custom_files: digest of each file of the user's own code, by name.
    """

    source_sha256: str
    source_files: dict[str, str]
    samples_sha256: str
    configuration: dict[str, str]
    versions: dict[str, str]
    custom_files: dict[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, str]:
        """All of it as text by `group.key`, for those who only show it."""
        return {
            **{f"tool.{name}_version": text for name, text in self.versions.items()},
            **self.configuration,
            "provenance.source_sha256": self.source_sha256,
            **{f"provenance.source.{name}": text for name, text in self.source_files.items()},
            "provenance.samples_sha256": self.samples_sha256,
            **{f"provenance.custom.{name}": text for name, text in self.custom_files.items()},
        }
