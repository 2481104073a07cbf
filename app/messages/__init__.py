"""Every sentence that people read, by code and language.

The engine and the machines speak in codes with parameters; the command line, `vigil notify` and the console render
them from one catalogue a language (en.toml, zh.toml).
"""

from vigil.app.messages.catalogue import (
    CATALOGUES,
    LANGUAGES,
    Catalogue,
    Language,
    Message,
    message_of,
    published_sentence,
    render,
)

__all__ = [
    "CATALOGUES",
    "LANGUAGES",
    "Catalogue",
    "Language",
    "Message",
    "message_of",
    "published_sentence",
    "render",
]
