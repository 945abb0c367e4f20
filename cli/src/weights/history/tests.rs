use tempfile::TempDir;

use super::*;

fn weights(stable: f64) -> Vec<(String, f64)> {
    vec![("stable".to_owned(), stable), ("canary".to_owned(), 100.0 - stable)]
}

#[test]
fn each_rollback_goes_one_edit_further_back_and_a_new_edit_begins_anew() {
    let folder = TempDir::new().expect("a folder");
    let mesh = folder.path().join("mesh.yaml");
    std::fs::write(&mesh, "").expect("a file");
    let history = History::beside(&mesh).expect("a history");
    assert_eq!(history.last_edit("a").expect("readable"), None);
    let append = |model: &str, command, before, after| {
        let entry = Entry::now(&mesh, model.to_owned(), command, weights(before), weights(after));
        history.append(&entry).expect("written");
    };
    let goes_back_to = |model: &str| history.last_edit(model).expect("readable").map(|entry| entry.before);

    append("a", Command::SetWeight, 100.0, 90.0);
    append("b", Command::SetWeight, 1.0, 2.0);
    append("a", Command::Promote, 90.0, 0.0);
    assert_eq!(goes_back_to("a"), Some(weights(90.0)));
    append("a", Command::Rollback, 0.0, 90.0);
    assert_eq!(goes_back_to("a"), Some(weights(100.0)));
    append("a", Command::SetWeight, 90.0, 50.0);
    assert_eq!(goes_back_to("a"), Some(weights(90.0)));
    append("a", Command::Rollback, 50.0, 90.0);
    append("a", Command::Rollback, 90.0, 100.0);
    assert_eq!(goes_back_to("a"), None);
    assert_eq!(goes_back_to("b"), Some(weights(1.0)));
}

#[test]
fn a_line_that_is_none_is_told_with_its_place() {
    let folder = TempDir::new().expect("a folder");
    let mesh = folder.path().join("mesh.yaml");
    std::fs::write(&mesh, "").expect("a file");
    std::fs::write(folder.path().join(NAME), "\n{}\n").expect("a file");
    let error = History::beside(&mesh).expect("a history").last_edit("a").expect_err("no entry");
    assert!(error.to_string().contains(".modelway-history.jsonl:2: "), "{error}");
}
