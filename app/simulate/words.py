"""Texts of hosts and buyers, and the products of suppliers."""

from typing import Final

INDUSTRIES: Final[dict[str, tuple[str, ...]]] = {
    "lighting": ("LED panel", "solar street lamp", "strip light", "track light"),
    "apparel": ("linen dress", "denim jacket", "yoga set", "rain coat"),
    "machinery": ("filling machine", "laser cutter", "wood lathe", "palletiser"),
    "electronics": ("power bank", "wireless earphone", "dash camera", "smart plug"),
    "furniture": ("rattan chair", "standing desk", "bar stool", "sofa bed"),
    "packaging": ("kraft mailer", "glass jar", "stand-up pouch", "gift box"),
    "toys": ("wooden puzzle", "building block set", "plush bear", "kite"),
    "sports": ("carbon paddle", "camping tent", "resistance band", "helmet"),
}

GREETINGS: Final = (
    "Welcome, nice to see you here!",
    "Hello and welcome to our factory live",
    "Hi {buyer}, thanks for dropping by",
    "欢迎光临我们的直播间！",
    "¡Bienvenido!",
)
ASKED: Final = (
    "What are you looking for?",
    "Is it the {product} that you came for?",
    "How many pieces do you need?",
    "您想看哪一款{product}？",
    "¿Qué le interesa?",
)
"""What a host asks a buyer: the rules demand a greeting and a question, or a topic."""
INTRODUCTIONS: Final = (
    "This {product} is our best seller, we ship it in {n} days",
    "Let me show you how the {product} is made, step by step",
    "For orders above {n} pieces there is a better price on the {product}",
    "看这款{product}，起订量{n}件",
)
ANSWERS: Final = (
    "Yes, the minimum for the {product} is {n} pieces",
    "We can print your logo on the {product}, no problem",
    "Shipping by sea takes about {n} days",
    "There is a certificate for it, I will send the file after the show",
)
# No two are nearly identical. A host uses them in turn, so that a repeat comes after a long time.
CHAT: Final = (
    "It has been raining all day over here",
    "My colleague brought coffee, I needed that",
    "Somebody next door is drilling again, sorry for the noise",
    "We moved to the new showroom last spring",
    "Tomorrow is a holiday, half the team is already off",
    "That was the courier at the door just now",
    "I will dim this lamp a little, one second please",
    "You should have seen the trade fair in Guangzhou",
    "My throat is dry, let me get some water",
    "The cat of the office wants to be on camera too",
    "Did you watch the match yesterday evening?",
    "今天有点累，不过很开心",
)
REPEATED: Final = (
    "Order now or leave my room, {n} pieces only",
    "Stop asking and pay the deposit first please",
    "Follow me follow me follow me right now everyone",
    "Everybody type the number {n} in the chat at once",
)
ABUSE: Final = ("You have no idea what you are talking about, get lost", "Only a fool would ask such a thing, go away")
OFFERS: Final[dict[str, str]] = {
    "rights:trademark": "It looks just like the famous brand, same logo, nobody can tell",
    "rights:copyright": "We print the characters from the film, licence is not needed",
    "rights:portrait": "Everybody knows the face on this box, she does not have to know",
    "prohibited:medicine": "These tablets cure it in a week, I ship them without papers",
    "prohibited:weapon": "This blade is not on the site, write to me and I send it",
    "prohibited:wildlife": "The real thing, from the animal, not an imitation",
}
QUESTIONS: Final = (
    "What is the MOQ for the {product}?",
    "Can you ship the {product} to Rotterdam?",
    "How much for {n} pieces?",
    "Do you have a CE certificate?",
    "¿Cuánto tarda el envío?",
)
BUYER_CHAT: Final = ("hello", "nice", "👍", "is this live?", "following from Lagos", "price?", "多少钱", "ok thanks")
BUYER_ABUSE: Final = "this is a scam, you idiots"

RIGHTS: Final = tuple(label for label in OFFERS if label.startswith("rights:"))
PROHIBITED: Final = tuple(label for label in OFFERS if label.startswith("prohibited:"))
