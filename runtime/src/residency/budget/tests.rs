use super::*;
use tempfile::TempDir;

fn system(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn the_lowest_limit_of_the_group_and_its_parents_counts() {
    let root = system(&[
        ("proc/self/cgroup", "0::/pod/container\n"),
        ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
        ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
        ("sys/fs/cgroup/memory.max", "2000000\n"),
    ]);
    assert_eq!(limit_of_group(root.path()), Some(1_000_000));
}

#[test]
fn the_first_version_of_control_groups_is_read_too() {
    let root = system(&[
        ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096000\n"),
    ]);
    assert_eq!(limit_of_group(root.path()), Some(4_096_000));
    let unlimited = system(&[
        ("proc/self/cgroup", "4:memory:/\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ]);
    assert_eq!(limit_of_group(unlimited.path()), None);
}

#[test]
fn without_a_limit_it_is_a_share_of_what_is_available() {
    let root = system(&[("proc/meminfo", "MemTotal:  100 kB\nMemAvailable:     1000 kB\n")]);
    assert_eq!(available(root.path()), Some(1_024_000));
    assert_eq!(share(None, Some(1_024_000)), 614_400);
    assert_eq!(share(Some(500_000), Some(1_024_000)), 300_000);
    assert_eq!(share(None, None), FALLBACK / 100 * SHARE_PERCENT);
}

#[test]
fn here_there_is_some_memory() {
    assert!(default_memory() > 0);
}
