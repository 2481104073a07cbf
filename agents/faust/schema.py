"""Batches as values of Faust's messages: undecoded, one for each fetch of one partition."""

from typing import Any

import faust


class BatchSchema(faust.Schema):
    """The value of an event is the batch as the consumer made it."""

    def compile(self, app: Any, **options: Any) -> Any:
        async def pass_through(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, None, message)

        return pass_through
