"""Really uses every documented library once; prints `ok <name>` for each, in the documents' order."""

import os
import sys
import traceback

os.makedirs("/tmp/documented", exist_ok=True)
os.chdir("/tmp/documented")
cases = []


def case(name):
    return lambda function: cases.append((name, function))


@case("pandas")
def _():
    import pandas as pd

    table = pd.DataFrame({"region": ["a", "b", "a"], "sales": [1, 2, 3]})
    assert table.groupby("region").sales.sum().to_dict() == {"a": 4, "b": 2}
    table.to_csv("table.csv", index=False)
    assert pd.read_csv("table.csv").equals(table)


@case("numpy")
def _():
    import numpy as np

    assert np.linalg.det(np.array([[1.0, 2.0], [3.0, 4.0]])).round() == -2


@case("scipy")
def _():
    from scipy import stats

    assert stats.linregress([0, 1, 2], [1, 3, 5]).slope == 2


@case("scikit-learn")
def _():
    from sklearn.linear_model import LinearRegression

    assert round(LinearRegression().fit([[0], [1]], [1, 3]).predict([[2]])[0]) == 5


@case("statsmodels")
def _():
    import statsmodels.api as sm

    fit = sm.OLS([1.0, 3.1, 4.9, 7.0], sm.add_constant([0.0, 1.0, 2.0, 3.0])).fit()
    assert 1.9 < fit.params[1] < 2.1


@case("matplotlib")
def _():
    import matplotlib.pyplot as plt

    plt.plot([1, 2, 3])
    plt.savefig("plot.png")
    assert open("plot.png", "rb").read(8) == b"\x89PNG\r\n\x1a\n"


@case("seaborn")
def _():
    import matplotlib.pyplot as plt
    import seaborn

    plt.figure()
    seaborn.histplot([1, 2, 2, 3])
    plt.savefig("histogram.png")


@case("pyarrow")
def _():
    import pandas as pd

    pd.DataFrame({"a": [1, 2]}).to_parquet("table.parquet", engine="pyarrow")
    assert pd.read_parquet("table.parquet").a.sum() == 3


@case("openpyxl")
def _():
    import pandas as pd

    pd.DataFrame({"a": [1, 2]}).to_excel("table.xlsx", engine="openpyxl")
    assert pd.read_excel("table.xlsx").a.sum() == 3


@case("xlsxwriter")
def _():
    import xlsxwriter

    with xlsxwriter.Workbook("written.xlsx") as book:
        book.add_worksheet().write(0, 0, "cell")


@case("xlrd")
def _():
    import xlrd

    try:
        xlrd.open_workbook(file_contents=b"no workbook")
        raise AssertionError
    except xlrd.XLRDError:
        pass


@case("pillow")
def _():
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save("image.jpg")
    assert Image.open("image.jpg").size == (40, 30)


@case("python-pptx")
def _():
    import pptx

    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[0]).shapes.title.text = "Title"
    slides.save("slides.pptx")


@case("python-docx")
def _():
    import docx

    text = docx.Document()
    text.add_paragraph("words")
    text.save("text.docx")
    assert docx.Document("text.docx").paragraphs[0].text == "words"


@case("reportlab[pycairo]")
def _():
    from reportlab.graphics import renderPM
    from reportlab.graphics.shapes import Drawing, String
    from reportlab.pdfgen import canvas
    from reportlab.platypus import SimpleDocTemplate, Table

    page = canvas.Canvas("page.pdf")
    page.drawString(100, 700, "words on a page")
    page.save()
    grid = ("GRID", (0, 0), (-1, -1), 1, "black")
    SimpleDocTemplate("cells.pdf").build([Table([["a", "b"], ["1", "2"]], style=[grid])])
    drawing = Drawing(60, 20)
    drawing.add(String(5, 5, "cairo"))
    renderPM.drawToFile(drawing, "drawing.png", fmt="PNG", backend="rlPyCairo")
    assert os.path.getsize("drawing.png") > 100


@case("pypdf")
def _():
    import pypdf

    assert "words on a page" in pypdf.PdfReader("page.pdf").pages[0].extract_text()


@case("pdfplumber")
def _():
    import pdfplumber

    with pdfplumber.open("cells.pdf") as pdf:
        assert pdf.pages[0].extract_table() == [["a", "b"], ["1", "2"]]


@case("pypdfium2")
def _():
    import pypdfium2

    assert pypdfium2.PdfDocument("page.pdf")[0].render().to_pil().width > 100


@case("pdf2image")
def _():
    import pdf2image

    assert pdf2image.convert_from_path("page.pdf")[0].width > 100


@case("pdfkit")
def _():
    import pdfkit

    pdfkit.from_string("<h1>Heading</h1>", "html.pdf", options={"quiet": ""})
    assert open("html.pdf", "rb").read(4) == b"%PDF"


@case("tabula-py")
def _():
    import tabula

    found = tabula.read_pdf("cells.pdf", pages=1, lattice=True)[0]
    assert list(found.columns) == ["a", "b"], found


@case("img2pdf")
def _():
    import img2pdf

    assert img2pdf.convert("image.jpg").startswith(b"%PDF")


@case("sympy")
def _():
    import sympy

    x = sympy.Symbol("x")
    assert sympy.integrate(2 * x, x) == x**2


@case("mpmath")
def _():
    import mpmath

    mpmath.mp.dps = 50
    assert str(mpmath.pi).startswith("3.14159265358979323846264338327950288")


@case("tqdm")
def _():
    from tqdm import tqdm

    assert sum(tqdm(range(4), disable=True)) == 6


@case("python-dateutil")
def _():
    from dateutil import parser

    assert parser.parse("4 January 2026").day == 4


@case("pytz")
def _():
    import pytz

    assert pytz.timezone("Europe/Vienna").zone == "Europe/Vienna"


@case("joblib")
def _():
    from joblib import Parallel, delayed

    assert Parallel(n_jobs=2)(delayed(abs)(n) for n in [-1, -2]) == [1, 2]


for name, function in cases:
    try:
        function()
        print("ok", name)
    except BaseException:
        print("FAILED", name)
        traceback.print_exc(file=sys.stdout)
