"""Operations by name. A new one is a module with an order and an operation, and a line here."""

from collections.abc import Mapping

from creditapp.generation.operations.audio import Audio
from creditapp.generation.operations.image_to_image import ImageToImage
from creditapp.generation.operations.lipsync import Lipsync
from creditapp.generation.operations.operation import Operation
from creditapp.generation.operations.text_to_image import TextToImage
from creditapp.generation.operations.upscale import Upscale
from creditapp.generation.operations.video import Video

OPERATIONS: Mapping[str, Operation] = {
    operation.id: operation
    for operation in (TextToImage(), ImageToImage(), Upscale(), Video(), Audio(), Lipsync())
}
