"""Skills: one of our own, and the stand-ins of the vendor's, which make real files."""

import io
import zipfile

import anthropic

from support import CODE, MODEL, STRICT, client, output_ids, raises, results, script, user

api = client()
skills = api.skills if STRICT else api.beta.skills
MANIFEST = b"---\nname: greeter\ndescription: Greets.\n---\n\nRun scripts/greet.py.\n"
SCRIPT = b"#!/usr/bin/env python3\nprint('hello from a skill')\n"

if STRICT:
    made = skills.create(
        display_name="Our greeter",
        files=[("greeter/SKILL.md", MANIFEST), ("greeter/scripts/greet.py", SCRIPT)],
    )
    assert made.display_name == "Our greeter" and made.source.type == "custom", made
    version = skills.versions.retrieve("latest", skill_id=made.id)
    assert version.id == made.latest_version_id and version.name == "greeter", version
    # The same skill again, as the zip that a download gives.
    archive = api.beta.skills.versions.download(made.latest_version_id, skill_id=made.id).read()
    assert zipfile.ZipFile(io.BytesIO(archive)).read("greeter/scripts/greet.py") == SCRIPT
    newer = skills.versions.create(made.id, files=[("greeter.zip", archive)])
    assert newer.id != version.id and skills.retrieve(made.id).latest_version_id == newer.id
    error = raises(anthropic.BadRequestError, skills.create, files=[("skills/SKILL.md", MANIFEST)])
    assert "must match the skill name 'greeter'" in error.body["error"]["message"], error.body
else:
    # This SDK cannot send a path with a folder in it; a zip has its own.
    with zipfile.ZipFile("greeter.zip", "w") as archive:
        archive.writestr("greeter/SKILL.md", MANIFEST)
        archive.writestr("greeter/scripts/greet.py", SCRIPT)
    made = skills.create(display_title="Our greeter", files=[open("greeter.zip", "rb")])
    assert made.display_title == "Our greeter" and made.source == "custom", made
    version = skills.versions.retrieve(made.latest_version, skill_id=made.id)
    assert version.version.isdigit() and version.directory == "greeter", version
assert [skill.id for skill in skills.list(source="custom")] == [made.id]
assert {skill.id for skill in skills.list(source="anthropic")} == {"xlsx", "pptx", "docx", "pdf"}

script("""
- when: { user: { contains: greet } }
  then: [{ bash: /skills/greeter/scripts/greet.py }]
- when: { user: { contains: documents } }
  then:
    - view: /skills/xlsx/SKILL.md
    - bash: |
        set -e
        cat > book.json <<'JSON'
        {"sheets": [{"name": "Sales", "rows": [["Region", "Revenue"], ["North", 120], ["Total", "=SUM(B2:B2)"]],
                     "chart": {"title": "Revenue", "rows": 2}}]}
        JSON
        cat > text.json <<'JSON'
        {"title": "Report", "blocks": [{"heading": "One"}, {"paragraph": "a < b"}, {"bullets": ["x"]}, {"table": [["a", 1]]}]}
        JSON
        echo '{"title": "Plans", "slides": [{"title": "First", "bullets": ["one", "two"], "notes": "n"}]}' > deck.json
        python /skills/xlsx/scripts/make_workbook.py book.json "$OUTPUT_DIR/sales.xlsx"
        python /skills/docx/scripts/make_document.py text.json "$OUTPUT_DIR/report.docx"
        python /skills/pdf/scripts/make_pdf.py text.json "$OUTPUT_DIR/report.pdf"
        python /skills/pptx/scripts/make_slides.py deck.json "$OUTPUT_DIR/plans.pptx"
""")
betas = ["code-execution-2025-08-25", "skills-2025-10-02"] if not STRICT else []


def ask(text, container):
    return api.beta.messages.create(
        model=MODEL, max_tokens=1000, tools=[CODE], messages=[user(text)], container=container, betas=betas
    )


own = {"type": "custom", "skill_id": made.id, "version": "latest"}
answer = ask("greet", {"skills": [own]})
assert results(answer)[0]["stdout"] == "hello from a skill\n", answer
loaded = answer.container.skills[0]
assert loaded.skill_id == made.id, loaded
latest = skills.retrieve(made.id)
assert loaded.version == (latest.latest_version_id if STRICT else latest.latest_version), loaded

# The vendor's four, in one container, beside our own.
vendors = [{"type": "anthropic", "skill_id": name} for name in ("xlsx", "pptx", "docx", "pdf")]
answer = ask("documents", {"id": answer.container.id, "skills": [own, *vendors]})
view, made_files = results(answer)
assert "stand-in" in view["content"], view
assert made_files["return_code"] == 0, made_files
assert [skill.skill_id for skill in answer.container.skills] == [made.id, "xlsx", "pptx", "docx", "pdf"], answer
files = {}
for file_id in output_ids(answer):
    name = api.beta.files.retrieve_metadata(file_id).filename
    files[name] = api.beta.files.download(file_id).read()
assert set(files) == {"sales.xlsx", "report.docx", "report.pdf", "plans.pptx"}, set(files)
book = zipfile.ZipFile(io.BytesIO(files["sales.xlsx"]))
assert b"SUM(B2:B2)" in book.read("xl/worksheets/sheet1.xml") and "xl/charts/chart1.xml" in book.namelist()
assert b"a &lt; b" in zipfile.ZipFile(io.BytesIO(files["report.docx"])).read("word/document.xml")
assert "ppt/slides/slide2.xml" in zipfile.ZipFile(io.BytesIO(files["plans.pptx"])).namelist()
assert files["report.pdf"].startswith(b"%PDF-")

# A bare id keeps what is mounted; an unknown skill is named.
assert results(ask("greet", answer.container.id))[0]["stdout"] == "hello from a skill\n"
error = raises(anthropic.BadRequestError, ask, "greet", {"skills": [{"type": "custom", "skill_id": "skill_01nope"}]})
assert "skill" in error.body["error"]["message"].lower(), error.body

if STRICT:
    error = raises(anthropic.BadRequestError, skills.delete, "xlsx")
else:
    raises(anthropic.BadRequestError, skills.delete, made.id)
    skills.versions.delete(made.latest_version, skill_id=made.id)
assert skills.delete(made.id).type == "skill_deleted"
raises(anthropic.NotFoundError, skills.retrieve, made.id)
