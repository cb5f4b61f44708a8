#!/usr/bin/env python3
"""Makes a text document: make_document.py SPEC.json OUT.docx. A stand-in of sandtable's."""

import json
import sys

from docx import Document


def add(document, block):
    if "heading" in block:
        document.add_heading(block["heading"], level=block.get("level", 1))
    if "paragraph" in block:
        document.add_paragraph(block["paragraph"])
    for text in block.get("bullets", []):
        document.add_paragraph(text, style="List Bullet")
    if "table" in block:
        rows = block["table"]
        table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
        for cells, row in zip(table.rows, rows):
            for cell, value in zip(cells.cells, row):
                cell.text = str(value)


def main(source, target):
    with open(source, encoding="utf-8") as file:
        spec = json.load(file)
    document = Document()
    if spec.get("title"):
        document.add_heading(spec["title"], level=0)
    for block in spec.get("blocks", []):
        add(document, block)
    document.save(target)
    print(f"wrote {target}: {len(document.paragraphs)} paragraphs")


if __name__ == "__main__":
    main(*sys.argv[1:3])
