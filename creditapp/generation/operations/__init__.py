"""Operations by name. A new one is a module with an order and an operation, and a line here."""

from collections.abc import Mapping

from creditapp.generation.operations.operation import Operation
from creditapp.generation.operations.text_to_image import TextToImage

OPERATIONS: Mapping[str, Operation] = {operation.id: operation for operation in (TextToImage(),)}
