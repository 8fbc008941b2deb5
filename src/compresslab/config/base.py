"""The manners that all parts of the configuration share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=64)]
"""Lower-case letters, digits and single hyphens: names become folders and wildcards."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are mistakes, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)
