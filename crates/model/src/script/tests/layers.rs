//! Workspaces over files: replace, add, clear, reset, watch.

use std::path::Path;

use super::*;
use crate::script::{Base, LayerName, Reload};

fn write(folder: &Path, name: &str, source: &str) {
    std::fs::write(folder.join(name), source).unwrap();
}

fn load(folder: &Path) -> Arc<Base> {
    Arc::new(Base::load(&[folder.to_owned()]).unwrap())
}

fn say(scripts: &Scripts) -> String {
    texts(scripts.start(&request("hi")))[0].clone()
}

#[test]
fn a_file_that_is_named_again_is_read_once_at_its_first_place() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let rule = format!("- {{ name: {name}, then: [{{ text: {name} }}] }}");
        write(folder.path(), &format!("{name}.yaml"), &rule);
    }
    let paths = [folder.path().join("b.yaml"), folder.path().to_owned()];
    let scripts = Scripts::new(Arc::new(Base::load(&paths).unwrap()));
    let names: Vec<_> = scripts.list().into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["b", "a"]);
    let survey = crate::script::survey(&paths);
    assert_eq!((survey.files, survey.rules), (2, 2));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_in_a_folder_is_a_mistake_and_no_rule_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", "- then: [{ text: a }]");
    std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    assert_eq!(load(folder.path()).len(), 1);
    std::os::unix::fs::symlink("/nowhere", folder.path().join("b.yaml")).unwrap();
    let mistakes = Base::load(&[folder.path().to_owned()]).unwrap_err();
    assert!(mistakes[0].file.ends_with("b.yaml"), "{mistakes:?}");
}

#[test]
fn a_workspaces_rules_come_before_the_files_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "b.yaml",
        "- { name: b, then: [{ text: b }] }",
    );
    write(
        folder.path(),
        "a.json",
        r#"[{"name": "a", "then": [{"text": "a"}]}]"#,
    );
    write(folder.path(), ".hidden.yaml", "nonsense");
    write(folder.path(), "notes.txt", "nonsense");
    let scripts = Scripts::new(load(folder.path()));
    assert_eq!(say(&scripts), "a");
    scripts
        .replace("- { name: own, times: 1, then: [{ text: own }] }", "PUT")
        .unwrap();
    let summary = scripts
        .add("- { name: more, times: 1, then: [{ text: more }] }", "POST")
        .unwrap();
    assert_eq!(summary.rules, 2);
    assert_eq!(
        [say(&scripts), say(&scripts), say(&scripts)],
        ["own", "more", "a"]
    );
    let listed: Vec<(String, u64, LayerName)> = scripts
        .list()
        .into_iter()
        .map(|rule| (rule.name, rule.used, rule.layer))
        .collect();
    let expected = [
        ("own", 1, LayerName::Workspace),
        ("more", 1, LayerName::Workspace),
        ("a", 2, LayerName::Base),
        ("b", 0, LayerName::Base),
    ];
    assert_eq!(
        listed,
        expected.map(|(name, used, layer)| (name.to_owned(), used, layer))
    );
    scripts.clear();
    assert_eq!(say(&scripts), "a");
}

#[test]
fn a_rejected_script_changes_nothing() {
    let scripts = scripts("- then: [{ text: good }]");
    assert!(scripts.replace("- thn: []", "PUT").is_err());
    assert!(scripts.add("", "POST").is_err());
    assert_eq!(say(&scripts), "good");
}

#[test]
fn workspaces_count_the_times_of_a_shared_rule_each_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.yaml",
        "- { times: 1, then: [{ text: once }] }",
    );
    let base = load(folder.path());
    let (one, other) = (Scripts::new(Arc::clone(&base)), Scripts::new(base));
    assert_eq!(
        (say(&one), say(&other)),
        ("once".to_owned(), "once".to_owned())
    );
    assert!(one.start(&request("hi")).is_err());
    one.reset();
    assert_eq!(say(&one), "once");
}

#[test]
fn only_the_empty_base_without_own_rules_is_empty() {
    assert!(Scripts::default().is_empty());
    assert!(!scripts("- then: [{ text: x }]").is_empty());
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", "- then: [{ text: x }]");
    assert!(!Scripts::new(load(folder.path())).is_empty());
}

#[test]
fn steps_that_never_ran_are_named_but_those_of_a_branch_not_taken() {
    let scripts = scripts(
        "- name: r\n  then:\n    - bash: x\n    - if: last.return_code == 0\n      then: [{ text: a }]\n      else: [{ text: b }]\n    - text: d\n    - text: e\n- name: s\n  then: [{ text: c }]\n- name: t\n  when: { user: hi }\n  times: 2\n  then: [{ text: f }]\n",
    );
    let mut model = scripts.start(&request("hi")).unwrap();
    model.next(&[]).unwrap();
    model.next(&[ran("srvtoolu_1", "")]).unwrap();
    model.next(&[]).unwrap();
    let unused: Vec<String> = scripts
        .unused_steps()
        .iter()
        .map(|step| {
            format!(
                "{} {}:{} {:?} {:?}",
                step.rule, step.file, step.line, step.step, step.why
            )
        })
        .collect();
    assert_eq!(
        unused,
        [
            "r a.yaml:8 Some(\"text\") NeverRan",
            "s a.yaml:9 None NeverAnswered",
            "t a.yaml:11 None NeverAnswered"
        ]
    );
}

#[test]
fn an_edit_is_taken_up_and_a_bad_one_keeps_the_last_good_rules() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.yaml", "- then: [{ text: old }]");
    let base = load(folder.path());
    let scripts = Scripts::new(Arc::clone(&base));
    assert_eq!(say(&scripts), "old");
    assert_eq!(base.poll(), Reload::Unchanged);

    write(folder.path(), "a.yaml", "- then: [{ text: longer now }]");
    assert_eq!(base.poll(), Reload::Reloaded { rules: 1 });
    assert_eq!(say(&scripts), "longer now");

    write(folder.path(), "a.yaml", "- then: [{ txt: x }]");
    assert_eq!(
        base.poll(),
        Reload::Unchanged,
        "an editor may still be writing"
    );
    let Reload::Rejected(diagnostics) = base.poll() else {
        panic!("a bad edit that stands still is rejected")
    };
    assert_eq!(diagnostics[0].at.line, 1);
    assert_eq!(base.poll(), Reload::Unchanged, "it is said once");
    assert_eq!(say(&scripts), "longer now");

    write(folder.path(), "b.yaml", "- then: [{ text: from b }]");
    write(
        folder.path(),
        "a.yaml",
        "- { when: { user: ho }, then: [{ text: x }] }",
    );
    assert_eq!(base.poll(), Reload::Reloaded { rules: 2 });
    assert_eq!(say(&scripts), "from b");
}

#[test]
fn a_turn_under_way_outlives_its_script() {
    let scripts = scripts("- then: [{ text: a }, { text: b }]");
    let mut model = scripts.start(&request("hi")).unwrap();
    assert_eq!(text(&mut model, &[]), "a");
    scripts.replace("- then: [{ text: new }]", "PUT").unwrap();
    assert_eq!(text(&mut model, &[]), "b");
}

#[test]
fn files_that_hold_what_they_held_are_not_begun_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let once = "- { times: 1, then: [{ text: once }] }";
    write(folder.path(), "a.yaml", once);
    let base = load(folder.path());
    let scripts = Scripts::new(Arc::clone(&base));
    assert_eq!(say(&scripts), "once");
    let touch = || {
        let file = std::fs::File::options()
            .append(true)
            .open(folder.path().join("a.yaml"));
        let file = file.unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    touch();
    assert_eq!(base.poll(), Reload::Unchanged);
    assert!(scripts.start(&request("hi")).is_err());
    // What is as long and not the same is a change.
    write(folder.path(), "a.yaml", &once.replace("once", "ONCE"));
    assert_eq!(base.poll(), Reload::Reloaded { rules: 1 });
    assert_eq!(say(&scripts), "ONCE");
}
