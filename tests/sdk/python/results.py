"""Code execution whose results the script brings: no sandbox, and files that the SDK downloads."""

from support import CODE, MODEL, client, output_ids, results, said, script, user

script(
    """
- name: report
  when: { user: report }
  then:
    - bash: python3 report.py
      result:
        stdout: "for ${{ request.model }}\\n"
        files:
          - { name: report.csv, text: "a,b\\n1,2\\n" }
          - { name: odd.bin, base64: AP8A }
    - create: { path: notes.txt, file_text: x }
      result: { is_file_update: true }
    - view: notes.txt
      result: { content: "one\\ntwo" }
    - str_replace: { path: notes.txt, old_str: one, new_str: two }
      result: {}
    - view: gone.txt
      result: { error_code: file_not_found, message: No such file. }
    - text: Done.
- name: later
  when: { user: later }
  then:
    - python: raise SystemExit(3)
      result: { stderr: "Traceback\\n", return_code: 3 }
"""
)
api = client()
options = {"model": MODEL, "max_tokens": 512, "messages": [user("report")], "tools": [CODE]}
with api.messages.stream(**options) as stream:
    streamed = stream.get_final_message()
plain = api.messages.create(**options)
assert [block.type for block in plain.content] == [block.type for block in streamed.content]
for answer in (streamed, plain):
    ran, created, viewed, replaced, missing = results(answer)
    assert ran["stdout"] == f"for {MODEL}\n" and ran["return_code"] == 0, ran
    assert created["is_file_update"] is True, created
    assert (viewed["num_lines"], viewed["start_line"], viewed["total_lines"]) == (2, 1, 2), viewed
    assert replaced["lines"] == ["-one", "+two"], replaced
    assert (missing["error_code"], missing["error_message"]) == ("file_not_found", "No such file."), missing
    assert said(answer) == "Done."
    table, odd = output_ids(answer)
    assert api.beta.files.download(table).read() == b"a,b\n1,2\n"
    assert api.beta.files.download(odd).read() == b"\x00\xff\x00"
    metadata = api.beta.files.retrieve_metadata(table)
    assert (metadata.filename, metadata.downloadable, metadata.size_bytes) == ("report.csv", True, 8), metadata

again = {**options, "messages": [user("later")], "container": plain.container.id}
later = api.messages.create(**again)
assert later.container.id == plain.container.id, later.container
(failed,) = results(later)
assert (failed["return_code"], failed["stderr"]) == (3, "Traceback\n"), failed
