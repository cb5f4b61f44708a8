#!/usr/bin/env python3
"""Makes a PDF document: make_pdf.py SPEC.json OUT.pdf. A stand-in of sandtable's."""

import json
import sys
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import ListFlowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

STYLES = getSampleStyleSheet()


def text(value, style):
    return Paragraph(escape(str(value)), STYLES[style])


def flow(block):
    if "heading" in block:
        yield text(block["heading"], "Heading1")
    if "paragraph" in block:
        yield text(block["paragraph"], "BodyText")
    if "bullets" in block:
        yield ListFlowable([text(item, "BodyText") for item in block["bullets"]], bulletType="bullet")
    if "table" in block:
        grid = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.grey)])
        yield Table([[str(cell) for cell in row] for row in block["table"]], style=grid)
    yield Spacer(1, 6)


def main(source, target):
    with open(source, encoding="utf-8") as file:
        spec = json.load(file)
    story = [text(spec["title"], "Title")] if spec.get("title") else []
    for block in spec.get("blocks", []):
        story.extend(flow(block))
    SimpleDocTemplate(target, pagesize=A4, title=spec.get("title")).build(story)
    print(f"wrote {target}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
