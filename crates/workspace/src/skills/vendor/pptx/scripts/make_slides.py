#!/usr/bin/env python3
"""Makes a presentation: make_slides.py SPEC.json OUT.pptx. A stand-in of sandtable's."""

import json
import sys

from pptx import Presentation


def main(source, target):
    with open(source, encoding="utf-8") as file:
        spec = json.load(file)
    deck = Presentation()
    if spec.get("title"):
        slide = deck.slides.add_slide(deck.slide_layouts[0])
        slide.shapes.title.text = spec["title"]
        slide.placeholders[1].text = spec.get("subtitle", "")
    for page in spec.get("slides", []):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = page.get("title", "")
        slide.placeholders[1].text = "\n".join(page.get("bullets", []))
        if page.get("notes"):
            slide.notes_slide.notes_text_frame.text = page["notes"]
    deck.save(target)
    print(f"wrote {target}: {len(deck.slides)} slides")


if __name__ == "__main__":
    main(*sys.argv[1:3])
