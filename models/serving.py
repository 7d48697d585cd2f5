"""What a model's serving.json says: which of its versions serve, and how."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

Version = Annotated[int, Field(ge=1, lt=10**18)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Canary(_Part):
    """A version that answers in the serving one's place for a share of the requests."""

    version: Version
    share: float = Field(gt=0, le=1)


class Serving(_Part):
    """`version` is pinned; without it, the highest good one serves. `shadow` is asked too, and never heard."""

    version: Version | None = None
    canary: Canary | None = None
    shadow: Version | None = None

    @property
    def named(self) -> list[int]:
        """The versions that it names."""
        canary = self.canary.version if self.canary else None
        return [version for version in (self.version, canary, self.shadow) if version is not None]

    def promoted(self, version: int | None) -> Self:
        """With this version pinned, or none. A canary ends with the choice that it was there for."""
        shadow = None if self.shadow == version else self.shadow
        return self.model_copy(update={"version": version, "canary": None, "shadow": shadow})

    def held(self, serving: int) -> Self:
        """With what serves now pinned, where nothing is."""
        return self if self.version is not None else self.model_copy(update={"version": serving})

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True) + "\n"
