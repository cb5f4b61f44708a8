//! The manifests of `deploy/kubernetes`: rendered by kubectl, held to the schemas of Kubernetes and to the program, and the
//! server's pod started on an engine with what its manifest says.

use std::path::PathBuf;
use std::process::Command;

use cli::image::Flavor;
use sandbox::Limits;
use sandbox::kubernetes::pool_template;
use sandbox::kubernetes::rules::RULES;

use crate::image::image_ready;
use crate::interpreter::kubernetes_python;
use crate::workshop::of_repository;

/// As the overlays name it.
const IMAGE: &str = concat!("sandtable:", env!("CARGO_PKG_VERSION"), "-full");

/// Runs one check of `manifests.py`; `None` where what it needs is missing and may be.
fn check(name: &str, more: &[&str]) -> Option<String> {
    let python = kubernetes_python()?;
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| serde_json::json!([rule.group, rule.resource, rule.verbs, rule.only_with]))
        .collect();
    let done = Command::new(python)
        .arg(of_repository("tests/sdk/python/manifests.py"))
        .arg(of_repository(""))
        .arg(name)
        .args(more)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "SANDTABLE_TEST_RULES",
            serde_json::to_string(&rules).unwrap(),
        )
        .env(
            "SANDTABLE_TEST_TEMPLATE",
            pool_template("sandtable", IMAGE, Limits::default()).to_string(),
        )
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    Some(String::from_utf8(done.stdout).unwrap())
}

#[test]
fn the_manifests_fit_the_schemas_of_every_kubernetes_that_is_served() {
    let Some(said) = check("schemas", &[]) else {
        return;
    };
    assert!(said.contains("documents fit their schema"), "{said}");
}

#[test]
fn every_pod_of_the_manifests_is_admitted_to_a_restricted_namespace() {
    let Some(said) = check("admission", &[]) else {
        return;
    };
    assert!(said.contains("containers are admitted"), "{said}");
}

#[test]
fn whatever_a_manifest_names_is_there_and_in_one_namespace() {
    let Some(said) = check("links", &[]) else {
        return;
    };
    assert!(said.contains("documents name what is there"), "{said}");
}

#[test]
fn the_role_of_the_server_grants_what_the_backend_asks_and_nothing_else() {
    let Some(said) = check("rules", &[]) else {
        return;
    };
    assert!(
        said.contains("the rules are those of the backend"),
        "{said}"
    );
}

#[test]
fn the_template_of_the_pool_is_the_pod_that_the_backend_would_make() {
    let Some(said) = check("template", &[]) else {
        return;
    };
    assert!(said.contains("the template is the backend's"), "{said}");
}

#[test]
fn the_front_of_the_manifests_knows_each_server_and_none_besides() {
    let Some(said) = check("front", &[]) else {
        return;
    };
    assert!(said.contains("the front knows its servers"), "{said}");
}

#[test]
fn the_manifests_set_flags_that_there_are_and_name_the_image_of_this_version() {
    let flags = variables().join(" ");
    let Some(said) = check("server", &[&flags, env!("CARGO_PKG_VERSION")]) else {
        return;
    };
    assert!(said.contains("variables are flags"), "{said}");
}

#[test]
fn each_check_of_the_manifests_sees_the_mistakes_that_it_is_there_for() {
    let flags = variables().join(" ");
    let Some(said) = check("mistakes", &[&flags, env!("CARGO_PKG_VERSION")]) else {
        return;
    };
    assert!(said.contains("mistakes are seen"), "{said}");
}

/// The variables of the flags of `serve`, as its help names them.
fn variables() -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_sandtable"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let found: Vec<String> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split(['=', ']']).next())
        .map(str::to_owned)
        .collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// As a cluster would start it: the rights, the mounts, the variables, and the limits of the manifest, on the image's base.
#[tokio::test]
async fn the_pod_of_the_overlay_single_runs_code_on_an_engine_and_keeps_its_volume() {
    let Some(pod) = check("pod", &["single"]) else {
        return;
    };
    if !image_ready(Flavor::Slim).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("pod.json");
    std::fs::write(&given, pod).unwrap();
    let python: PathBuf = kubernetes_python().expect("it was there");
    let done = Command::new(python)
        .arg(of_repository("tests/sdk/python/pod.py"))
        .arg(&given)
        .arg(of_repository("Dockerfile"))
        .arg(env!("CARGO_BIN_EXE_sandtable"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    assert!(said.contains("the volume outlives the pod"), "{said}");
}
