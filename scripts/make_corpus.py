#!/usr/bin/env python3
"""A small world in words, for `make tour`: make_corpus.py FOLDER [STORIES] [SEED]

Writes FOLDER/stories.txt (short stories with an empty line between them), FOLDER/held.txt (further ones) and FOLDER/questions.jsonl (questions about the same animals with their answers, as {"prompt", "completion"}).
The same arguments give the same bytes. Who lives where and eats what is the same in every story, so that a model that
has learned the stories can be asked.
"""
import json
import pathlib
import random
import sys

ANIMALS = {  # kind: (home, food, sound, colours)
    "cat": ("the old barn", "fish", "purred", ["grey", "black", "white"]),
    "dog": ("the yellow house", "bones", "barked", ["brown", "black", "white"]),
    "fox": ("the quiet forest", "berries", "laughed", ["red", "brown", "grey"]),
    "owl": ("the hollow tree", "mice", "hooted", ["white", "brown", "grey"]),
    "frog": ("the green pond", "flies", "croaked", ["green", "brown", "yellow"]),
    "horse": ("the wide meadow", "grass", "neighed", ["brown", "white", "black"]),
    "goose": ("the muddy river", "corn", "honked", ["white", "grey", "brown"]),
    "mouse": ("the warm kitchen", "cheese", "squeaked", ["grey", "white", "brown"]),
}
NAMES = ["Lily", "Tim", "Anna", "Ben", "Mia", "Tom", "Sara", "Max", "Nora", "Sam", "Ella", "Jack"]
TIMES = ["One morning", "One day", "One evening", "In the spring", "After the rain", "Before dinner", "Last winter"]
WEATHER = ["the sun was warm", "it was raining", "the wind was cold", "the sky was blue", "the snow was deep"]
MOODS = ["happy", "sad", "tired", "hungry", "brave", "afraid", "lonely"]
THINGS = ["a red ball", "an old key", "a small bell", "a blue feather", "a round stone", "a golden leaf"]
PLACES = ["under the bridge", "behind the wall", "near the well", "on the hill", "beside the road"]


def story(r):
    kind = r.choice(list(ANIMALS))
    other = r.choice([k for k in ANIMALS if k != kind])
    home, food, sound, colours = ANIMALS[kind]
    name, friend = r.sample(NAMES, 2)
    mood, thing, place = r.choice(MOODS), r.choice(THINGS), r.choice(PLACES)
    lines = [f"{name} was a {r.choice(colours)} {kind} who lived in {home}."]
    lines.append(f"{r.choice(TIMES)}, {r.choice(WEATHER)} and {name} was {mood}.")
    plot = r.randrange(4)
    if plot == 0:
        lines.append(f"{name} went out to look for {food} and found {thing} {place}.")
        lines.append(f'"What is this?" asked {name}. The {other} {friend} came and looked at it.')
        lines.append(f'"It is mine," said {friend}, "but you may keep it." {name} {sound} and said thank you.')
    elif plot == 1:
        lines.append(f"{friend} the {other} came from {ANIMALS[other][0]} and asked for help.")
        lines.append(f"{friend} had lost {thing} {place}, and together they went to find it.")
        lines.append(f"When they found it, {friend} {ANIMALS[other][2]} and {name} {sound}.")
    elif plot == 2:
        lines.append(f"There was no {food} left in {home}, so {name} walked all the way to {ANIMALS[other][0]}.")
        lines.append(f"There lived {friend}, a {r.choice(ANIMALS[other][3])} {other}, who had only {ANIMALS[other][1]}.")
        lines.append(f'"I do not eat {ANIMALS[other][1]}," said {name}, "but I can sit with you."')
    else:
        lines.append(f"{name} sat {place} and {sound} all day long.")
        lines.append(f"{friend} the {other} heard it and brought some {food}.")
        lines.append(f"{name} ate the {food} and was not {mood} any more.")
    lines.append(r.choice([f"From that day on {name} and {friend} were friends.",
                           f"In the evening {name} went home to {home} and slept.",
                           f"{name} never forgot that day."]))
    return " ".join(lines)


def question(r):
    kind = r.choice(list(ANIMALS))
    home, food, sound, _ = ANIMALS[kind]
    other = r.choice([k for k in ANIMALS if k != kind])
    return r.choice([
        (f"Where does the {kind} live?", f"The {kind} lives in {home}."),
        (f"What does the {kind} eat?", f"The {kind} eats {food}."),
        (f"Who lives in {home}?", f"The {kind} lives there."),
        (f"Who eats {food}?", f"The {kind} does."),
        (f"Does the {kind} eat {ANIMALS[other][1]}?", f"No, the {kind} eats {food}."),
        (f"Does the {kind} live in {home}?", f"Yes, the {kind} lives there."),
    ])


def main():
    folder = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 6000
    r = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stories.txt").write_text("\n\n".join(story(r) for _ in range(count)) + "\n")
    (folder / "held.txt").write_text("\n\n".join(story(r) for _ in range(max(count // 40, 20))) + "\n")
    with open(folder / "questions.jsonl", "w") as f:
        for _ in range(count // 10):
            prompt, completion = question(r)
            f.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")


main()
