"""Questions outside of what the model can do."""

from __future__ import annotations

from random import Random

from tasks.base import Example, dress
from tasks.letters import WORDS

REFUSAL = "I can only do small sums and letter games."
PLACES = (
    "France Germany Spain Italy Japan China India Brazil Canada Mexico Egypt Kenya Norway Sweden Finland Poland Greece "
    "Turkey Russia Peru Chile Cuba Iran Iraq Nepal Australia Paris London Berlin Rome Madrid Tokyo Moscow Vienna Oslo"
).split()
PERSONS = (
    "Einstein|Mozart|Shakespeare|Newton|Darwin|Napoleon|Cleopatra|Marie Curie|Goethe|Picasso|Bach|Beethoven|Caesar|"
    "Columbus|Galileo|Gandhi|Tesla|Plato|Homer|Van Gogh|the president|the queen|the pope|Elvis|Churchill"
).split("|")
SUBJECTS = (
    "love|the sea|autumn|a cat|my dog|the moon|winter|friendship|a lonely robot|the stars|a dragon|spring|a small boat|"
    "an old tree|my mother|the rain|a brave knight|the desert|a train|music|the war|football|cooking|the internet|"
    "history|climate change|electric cars|space travel|the brain|volcanoes|whales|democracy|chess|coffee|"
    "black holes|dinosaurs|evolution|gravity|inflation|photosynthesis|vaccines|quantum physics|the stock market|"
    "art|politics|philosophy"
).split("|")
LANGUAGES = "French German Spanish Italian Latin Chinese Japanese Russian Greek Arabic Polish Dutch Turkish".split()
CODES = "Python Rust Java C JavaScript Go SQL Haskell bash HTML Ruby PHP".split()
JOBS = (
    "sort a list|read a file|print hello world|open a window|parse JSON|send an email|draw a circle|find a prime|"
    "download a page|play a game|rename files|make a web site|connect to a database|reverse a linked list"
).split("|")
FOODS = "pizza bread soup pasta cake rice salad pancakes curry sushi cheese chocolate tea lasagna stew cookies".split()
ITEMS = (
    "phone car computer bicycle lamp radio camera watch oven fridge clock plane ship bridge house garden window engine "
    "guitar piano printer robot train battery telescope"
).split()
TEMPLATES = [
    "What is the capital of {place}?", "Where is {place}?", "How many people live in {place}?",
    "What language do they speak in {place}?", "How is the weather in {place}?", "Will it rain in {place} tomorrow?",
    "What is the best hotel in {place}?", "What should I see in {place}?", "Tell me about {place}.",
    "How far is {place} from here?", "Who rules {place}?", "What time is it in {place}?",
    "What is the history of {place}?", "How do I get to {place}?", "Is {place} a nice place?", "Who was {person}?",
    "Who is {person}?", "When was {person} born?", "What did {person} do?", "Where did {person} live?",
    "How old is {person}?", "Tell me about {person}.", "What is {person} famous for?", "When did {person} die?",
    "Write a poem about {subject}.", "Tell me a story about {subject}.", "Write an essay about {subject}.",
    "Explain {subject}.", "What do you think of {subject}?", "Give me facts about {subject}.", "What is {subject}?",
    "Why is {subject} important?", "Write a song about {subject}.", "Tell me a joke about {subject}.",
    "How does {subject} work?", "Summarize a book about {subject}.", "What can you tell me about {subject}?",
    "Make up a tale about {subject}.", "Teach me about {subject}.", "Do you like {subject}?",
    "Translate {word} into {language}.", "How do you say {word} in {language}?", "What is {word} in {language}?",
    "What does {word} mean?", "What is a synonym of {word}?", "Define {word}.", "Use {word} in a sentence.",
    "What rhymes with {word}?", "What is the plural of {word}?", "What is the opposite of {word}?",
    "Can you speak {language}?", "Teach me {language}.", "Write a {code} program to {job}.",
    "How do I {job} in {code}?", "Show me {code} code to {job}.", "Is {code} better than {code2}?",
    "Explain {code} to me.", "Fix my {code} code.", "What is {code}?", "Write a function in {code} to {job}.",
    "How do I learn {code}?", "How do I cook {food}?", "Give me a recipe for {food}.", "Is {food} healthy?",
    "What goes well with {food}?", "Who invented {food}?", "Where can I buy {food}?", "How do I make {food}?",
    "Do you like {food}?", "What is the best {food}?", "How does a {item} work?", "Which {item} should I buy?",
    "Who invented the {item}?", "My {item} is broken, what can I do?", "How do I repair a {item}?",
    "How much does a {item} cost?", "Draw a {item}.", "What is a {item}?", "Sell me a {item}.",
    "What is the meaning of life?", "Tell me a joke.", "Sing a song.", "What time is it?",
    "What is the weather like?", "Who won the game?", "What is the news today?", "Play some music.",
    "Recommend a book.", "Recommend a movie.", "Should I marry {person}?", "Can you book a flight to {place}?",
    "Send an email to {person}.", "What color is the {item}?", "What is the population of {place}?",
    "What is the square root of {n}?", "What is {n} to the power of {m}?", "Is {n} a prime number?",
    "What is the logarithm of {n}?", "What is the sine of {n}?", "Solve x + {n} = {m} for x.",
    "Convert {n} miles to kilometers.", "What happened in {year}?", "Who was president in {year}?",
    "Who won the world cup in {year}?", "What is the value of pi?", "Convert {n} dollars to euros.",
    "Write a letter to {person}.", "Why is the sky blue?", "Why do cats purr?", "How tall is {person}?",
]


def outside(rng: Random, level: float) -> Example:
    """Something that is to be declined."""
    del level
    code, code2 = rng.sample(CODES, 2)
    text = rng.choice(TEMPLATES).format(
        place=rng.choice(PLACES), person=rng.choice(PERSONS), subject=rng.choice(SUBJECTS), word=rng.choice(WORDS),
        language=rng.choice(LANGUAGES), code=code, code2=code2, job=rng.choice(JOBS), food=rng.choice(FOODS),
        item=rng.choice(ITEMS), n=rng.randint(2, 999), m=rng.randint(2, 99), year=rng.randint(1500, 2025),
    )
    return Example("outside " + text, dress(rng, text), "This is not a sum or a letter game.", REFUSAL)
