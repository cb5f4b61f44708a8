#!/usr/bin/env python3
"""Makes a workbook: make_workbook.py SPEC.json OUT.xlsx. A stand-in of sandtable's."""

import json
import sys

from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter


def fill(sheet, spec):
    for row in spec.get("rows", []):
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for column in range(1, sheet.max_column + 1):
        texts = (str(cell.value or "") for (cell,) in sheet.iter_rows(min_col=column, max_col=column))
        sheet.column_dimensions[get_column_letter(column)].width = 2 + max(map(len, texts))
    if "chart" in spec:
        rows = spec["chart"].get("rows", sheet.max_row)
        chart = BarChart()
        chart.title = spec["chart"].get("title")
        chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=rows), titles_from_data=True)
        chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=rows))
        sheet.add_chart(chart, f"{get_column_letter(sheet.max_column + 2)}2")


def main(source, target):
    with open(source, encoding="utf-8") as file:
        spec = json.load(file)
    book = Workbook()
    book.remove(book.active)
    for number, sheet in enumerate(spec["sheets"], 1):
        fill(book.create_sheet(sheet.get("name", f"Sheet{number}")), sheet)
    book.save(target)
    print(f"wrote {target}: {', '.join(book.sheetnames)}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
