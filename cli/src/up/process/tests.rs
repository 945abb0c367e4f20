use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn a_process_that_dies_early_is_told_with_its_status_and_last_words() {
    let mut process =
        Process::start("runtime-1", shell("echo starting; echo no such folder >&2; exit 3"), false).unwrap();
    let error = process.line_after("listening on ").await.unwrap_err().to_string();
    assert!(error.starts_with("runtime-1 stopped with exit status: 3; its last words:\n"), "{error}");
    assert!(error.contains("\n  no such folder"), "{error}");
    assert!(error.contains("\n  starting"), "{error}");
}

#[tokio::test]
async fn only_the_last_lines_are_kept() {
    let mut process = Process::start("envoy", shell("seq 100 >&2"), false).unwrap();
    let error = process.ended().await.to_string();
    assert!(error.contains("\n  81\n") && error.ends_with("\n  100"), "{error}");
    assert!(!error.contains("\n  80\n"), "{error}");
}

#[tokio::test]
async fn the_line_that_is_waited_for_is_found_among_others() {
    let script = "echo hello; echo listening on 127.0.0.1:4711 and more; exec sleep 600";
    let mut process = Process::start("runtime-1", shell(script), false).unwrap();
    assert_eq!(process.line_after("listening on ").await.unwrap(), "127.0.0.1:4711 and more");
    process.stop().await;
    assert_eq!(process.child.id(), None, "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_being_asked_is_killed() {
    let script = "trap '' TERM; echo ready to stay; while :; do sleep 600; done";
    let mut process = Process::start("stubborn", shell(script), false).unwrap();
    process.line_after("ready").await.unwrap();
    process.stop().await;
    assert_eq!(process.child.id(), None);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let error = Process::start("envoy", Command::new("/no/such/envoy"), false).err().unwrap();
    assert!(format!("{error:#}").starts_with("cannot start envoy: /no/such/envoy: "), "{error:#}");
}
