"""The section `[images]` of `sparsedet.toml`."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sparsedet.image_options import MOST_MEGAPIXELS, AllowedHost, ImageOptions, StorageAccess

IMAGES_TEMPLATE = """
# Limits per pulled image: file size (also unpacked), width times height, and download time.
# Images beyond a limit are left out and counted.
[images]
max_megabytes = 0.0
max_megapixels = 0.0
max_seconds = 0.0
# Hosts on this machine or a private network that images may be fetched from, besides Label
# Studio itself: "images.lan", "10.0.0.5:9000", or a network such as "10.1.0.0/16".
allow_hosts = []
# Who reads s3://, gs:// and azure-blob:// addresses: label-studio (through the storages connected
# to the project), or direct (this machine, with your own credentials;
# pip install "sparsedet[storage]").
storage = ""
"""

_DEFAULTS = ImageOptions()


class ImageSettings(BaseModel):
    """How images are fetched; see `ImageOptions`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_megabytes: float = Field(default=_DEFAULTS.max_megabytes, gt=0)
    max_megapixels: float = Field(default=_DEFAULTS.max_megapixels, gt=0, le=MOST_MEGAPIXELS)
    max_seconds: float = Field(default=_DEFAULTS.max_seconds, gt=0)
    allow_hosts: list[str] = []
    storage: StorageAccess = _DEFAULTS.storage

    @field_validator("max_megabytes", "max_seconds")
    @classmethod
    def _check_finite(cls, value: float) -> float:
        if value == float("inf"):
            raise ValueError("must be a number; inf means no limit")
        return value

    @field_validator("allow_hosts")
    @classmethod
    def _check_hosts(cls, value: list[str]) -> list[str]:
        for host in value:
            AllowedHost.parse(host)
        return value

    def options(self) -> ImageOptions:
        """Return these settings as an annotation tool takes them."""
        return ImageOptions(
            max_megabytes=self.max_megabytes,
            max_megapixels=self.max_megapixels,
            max_seconds=self.max_seconds,
            allow_hosts=tuple(self.allow_hosts),
            storage=self.storage,
        )
