"""Models whose dumps are keys: of runs, stages and checkpoints."""

from typing import Any, ClassVar

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer


class GrowingModel(BaseModel):
    """A model that may be given further fields without changing the keys of what was made before.

    Attributes:
        added: names of fields that came after dumps were first kept. A dump says them only where they are not at their
            defaults, so what leaves them alone is called what it ever was.
    """

    added: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unsaid = {name for name in self.added if getattr(self, name) == fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in unsaid}
