"""Configuration sections: typed, frozen views of yacs keys, validated when read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.proposal_generator import RPN_HEAD_REGISTRY
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sparsedet.errors import ConfigError

_Hint = TypeVar("_Hint")
LEAST_TILE = 64
"""Pixels; an image would have a myriad of smaller ones."""


@dataclass(frozen=True, slots=True)
class Key:
    """The dotted yacs key of a field."""

    name: str


@dataclass(frozen=True, slots=True)
class Expected:
    """The valid values of a field, for errors."""

    text: str


class Section(BaseModel):
    """Some keys of a configuration: those of a yacs group, or fields with a `Key`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
    group: ClassVar[str]

    @classmethod
    def keys(cls) -> Mapping[str, str]:
        """Return the dotted key of every field."""
        return {
            name: key.name if (key := _hint(field, Key)) else f"{cls.group}.{name.upper()}"
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def defaults(cls) -> Mapping[str, Any]:
        """Return the keys with a default here, and the defaults."""
        fields = cls.model_fields
        return {
            key: fields[name].default
            for name, key in cls.keys().items()
            if not fields[name].is_required()
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Return the section of a configuration.

        Args:
            values: by dotted key; at least the section's.

        Raises:
            ConfigError: naming a key, its value and the expected value.
        """
        keys = cls.keys()
        try:
            return cls.model_validate({name: _tupled(values[key]) for name, key in keys.items()})
        except ValidationError as error:
            problem = error.errors()[0]
            name = str(problem["loc"][0])
            expected = _expected(cls.model_fields[name]) or problem["msg"]
            raise unexpected(keys[name], values[keys[name]], expected) from error


def unexpected(key: str, value: object, expected: str) -> ConfigError:
    """Return the error for a key with an invalid value."""
    return ConfigError(f"configuration key {key} is {value!r}, expected {expected}")


def _hint(field: FieldInfo, kind: type[_Hint]) -> _Hint | None:
    return next((hint for hint in field.metadata if isinstance(hint, kind)), None)


def _expected(field: FieldInfo) -> str | None:
    if get_origin(field.annotation) is Literal:
        return " or ".join(get_args(field.annotation))
    expected = _hint(field, Expected)
    return expected.text if expected else None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def ascending(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that the first of two numbers is not larger than the second."""
    if pair[0] > pair[1]:
        raise ValueError
    return pair


def known_backbone(name: str) -> str:
    """Check that a backbone can be built."""
    if name not in BACKBONE_REGISTRY:
        raise ValueError
    return name


def known_rpn_head(name: str) -> str:
    """Check that an RPN head can be built."""
    if name not in RPN_HEAD_REGISTRY:
        raise ValueError
    return name


def tile_side(pixels: int) -> int:
    """Check the side of tiles; 0 stands for none."""
    if pixels != 0 and pixels < LEAST_TILE:
        raise ValueError
    return pixels


Count = Annotated[int, Field(ge=1), Expected("at least 1")]
NonNegative = Annotated[int, Field(ge=0), Expected("0 or more")]
Length = Annotated[int, Field(ge=1), Expected("a length in pixels")]
NonNegativeNumber = Annotated[float, Field(ge=0), Expected("0 or more")]
Positive = Annotated[float, Field(gt=0), Expected("more than 0")]
Share = Annotated[float, Field(ge=0, le=1), Expected("a share, 0 to 1")]
ShareBelow1 = Annotated[float, Field(ge=0, lt=1), Expected("a share, 0 to less than 1")]
InnerShare = Annotated[float, Field(gt=0, lt=1), Expected("a share between 0 and 1")]
Score = Annotated[float, Field(ge=0, le=1), Expected("a score, 0 to 1")]
IoU = Annotated[float, Field(ge=0, le=1), Expected("an IoU, 0 to 1")]
Shares = Annotated[
    tuple[Share, Share],
    AfterValidator(ascending),
    Expected("two shares, 0 to 1, the lower one first"),
]
Scores = Annotated[
    tuple[Score, Score],
    AfterValidator(ascending),
    Expected("two scores, 0 to 1, the lower one first"),
]
Scales = Annotated[
    tuple[Positive, Positive],
    AfterValidator(ascending),
    Expected("two factors above 0, the lower one first"),
]
