"""The contract as others read it: JSON Schemas, an AsyncAPI document and examples, made from the types in `topics`."""

from typing import Final

from vigil.topics.catalog import VERSION
from vigil.topics.contracts.asyncapi import asyncapi
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.contracts.schemas import DIALECT, PUBLIC, schema_of

__all__: Final = ["DIALECT", "EXAMPLES", "PUBLIC", "VERSION", "asyncapi", "schema_of"]
