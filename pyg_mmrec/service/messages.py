"""What is asked and answered, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

# As the data have them: 7 and "7" are two ids.
Id = StrictInt | Annotated[StrictStr, Field(max_length=1000)]
Value = StrictInt | StrictStr | StrictBool | float
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecommendRequest(_Message):
    """Items for a user who is known, or for whoever took the items of a history."""

    user: Id | None = Field(None, description="raw id of a user of the training data")
    history: list[Id] | None = Field(
        None, description="raw ids of items, in place of a user"
    )
    k: StrictInt = Field(10, ge=1, description="how many items")
    exclude_seen: Literal["known", "train", "none"] = Field(
        "known",
        description="leave out all that the user is known to have, what the model was "
        "trained on alone, or nothing",
    )
    allow: list[Id] | None = Field(None, description="choose among these items alone")
    deny: list[Id] = Field([], description="leave these items out")
    where: dict[str, Value | list[Value]] | None = Field(
        None, description="choose among items of these values by column alone"
    )
    diversity: Finite = Field(
        0.0, ge=0, le=1, description="above 0: re-rank for a list of unlike items"
    )
    fold_in: Literal["model", "mean"] = Field(
        "model", description="place a history by the model, or by its items' mean"
    )


class SimilarRequest(_Message):
    """Items near another, by the cosine of their embeddings."""

    item: Id
    k: StrictInt = Field(10, ge=1)


class Ranked(BaseModel):
    """An item and its score."""

    item: int | str
    score: float
    title: str | None = None


class Answer(BaseModel):
    """The best items first, and the version of the run that chose them."""

    items: list[Ranked]
    version: str


class NewItem(_Message):
    """An item that the run was not trained on."""

    id: Id
    title: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    features: dict[str, list[Finite] | None] = Field(
        description="its features by modality, as wide as those of the data"
    )
    columns: dict[str, Value | list[Value]] = Field(
        {}, description="what else is known of it, for `where`"
    )


class AddRequest(_Message):
    """Items to add: all of them or none."""

    items: list[NewItem] = Field(min_length=1)


class Added(BaseModel):
    """How many items were added, and how many there are."""

    added: int
    items: int
    version: str


class Reloaded(BaseModel):
    """Whether there was another version to load."""

    loaded: bool
    version: str


class Health(BaseModel):
    """What this worker serves."""

    status: Literal["ok", "stale"]
    problem: str | None = Field(None, description="why the last reload failed")
    version: str
    users: int
    items: int
    added: int = Field(description="items of /items among them")
    search: str
    recall: float = Field(description="share of the exact 20 best that is found")
    model: bool = Field(description="whether new items and users can be placed by it")
    process: int


class Problem(BaseModel):
    """What was wrong, in a sentence."""

    error: str
