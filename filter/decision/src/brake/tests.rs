use super::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_795_424_400 * SECOND;

fn guard() -> Guard {
    Guard {
        error_rate: Some(0.1),
        latency: Some(SECOND / 2),
        slow_rate: 0.5,
        window: 10 * SECOND,
        minimum_requests: 20,
        probe_after: 30 * SECOND,
        probes: 4,
    }
}

fn tally(requests: u32, failed: u32, slow: u32) -> Tally {
    Tally { requests, failed, slow, ..Tally::default() }
}

fn probes(probes: u32, bad_probes: u32) -> Tally {
    Tally { probes, bad_probes, ..Tally::default() }
}

#[test]
fn a_variant_is_braked_when_its_failures_exceed_the_guard_with_enough_requests() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.sync(&guard(), &tally(10, 10, 0), START), GateState::Open);
    assert_eq!(ledger.sync(&guard(), &tally(9, 0, 0), START), GateState::Open);
    assert_eq!(ledger.sync(&guard(), &tally(1, 0, 0), START), GateState::Shut);
    assert!(ledger.is_braked());

    let mut ledger = Ledger::default();
    assert_eq!(ledger.sync(&guard(), &tally(100, 10, 50), START), GateState::Open);
    assert_eq!(ledger.sync(&guard(), &tally(100, 0, 51), START), GateState::Shut);
}

#[test]
fn what_is_older_than_the_window_no_longer_counts() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.sync(&guard(), &tally(19, 19, 0), START), GateState::Open);
    assert_eq!(ledger.sync(&guard(), &tally(19, 0, 0), START + 10 * SECOND), GateState::Open);
    assert_eq!(ledger.sync(&guard(), &tally(19, 1, 0), START + 11 * SECOND), GateState::Open);
}

#[test]
fn one_worker_probes_after_the_wait_and_good_probes_bring_the_variant_back() {
    let mut ledger = Ledger::default();
    ledger.sync(&guard(), &tally(20, 20, 0), START);
    assert_eq!(ledger.sync(&guard(), &tally(5, 5, 0), START + 29 * SECOND), GateState::Shut);
    assert_eq!(ledger.sync(&guard(), &Tally::default(), START + 30 * SECOND), GateState::Probing(4));
    assert_eq!(ledger.sync(&guard(), &Tally::default(), START + 30 * SECOND), GateState::Restricted);
    assert_eq!(ledger.sync(&guard(), &probes(3, 0), START + 31 * SECOND), GateState::Restricted);
    assert_eq!(ledger.sync(&guard(), &probes(1, 0), START + 32 * SECOND), GateState::Open);
    assert!(!ledger.is_braked());
    assert_eq!(ledger.sync(&guard(), &tally(19, 0, 0), START + 33 * SECOND), GateState::Open);
}

#[test]
fn a_bad_probe_doubles_the_wait_up_to_eight_times() {
    let mut ledger = Ledger::default();
    ledger.sync(&guard(), &tally(20, 20, 0), START);
    let mut now = START;
    for factor in [1, 2, 4, 8, 8] {
        assert_eq!(ledger.sync(&guard(), &Tally::default(), now + factor * 30 * SECOND - 1), GateState::Shut);
        now += factor * 30 * SECOND;
        assert_eq!(ledger.sync(&guard(), &Tally::default(), now), GateState::Probing(4));
        assert_eq!(ledger.sync(&guard(), &probes(3, 3), now), GateState::Shut);
    }
}

#[test]
fn probes_that_a_worker_never_used_go_to_another() {
    let mut ledger = Ledger::default();
    ledger.sync(&guard(), &tally(20, 20, 0), START);
    let later = START + 40 * SECOND;
    assert_eq!(ledger.sync(&guard(), &Tally::default(), later), GateState::Probing(4));
    assert_eq!(ledger.sync(&guard(), &Tally::default(), later + 11 * SECOND), GateState::Probing(4));
    assert_eq!(ledger.sync(&guard(), &probes(1, 0), later + 23 * SECOND), GateState::Open);
}

#[test]
fn bytes_that_are_no_ledger_are_an_empty_one() {
    let mut ledger = Ledger::default();
    ledger.sync(&guard(), &tally(30, 2, 1), START);
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()), ledger);
    ledger.sync(&guard(), &tally(20, 20, 0), START);
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()), ledger);
    ledger.sync(&guard(), &Tally::default(), START + 60 * SECOND);
    assert_eq!(Ledger::from_bytes(&ledger.to_bytes()), ledger);
    for wrong in [&b""[..], b"\x02", &ledger.to_bytes()[..40], &[1, 9, 0, 0]] {
        assert_eq!(Ledger::from_bytes(wrong), Ledger::default());
    }
}

#[test]
fn probes_are_counted_apart_and_slow_ones_are_bad() {
    let mut tally = Tally::default();
    for (failed, took, is_probe) in [(false, 1, false), (true, 1, false), (false, SECOND, false), (false, SECOND, true)]
    {
        tally.add(&guard(), Ending { failed, took, is_probe });
    }
    assert_eq!(tally, Tally { requests: 3, failed: 1, slow: 1, probes: 1, bad_probes: 1 });
}

#[test]
fn a_probing_gate_lets_so_many_through() {
    let gate = Gate::default();
    assert_eq!(gate.pass(), Passage::Free);
    gate.set(GateState::Probing(2));
    assert!(!gate.is_open());
    assert_eq!(gate.pass(), Passage::AsProbe);
    gate.set(GateState::Restricted);
    assert_eq!([gate.pass(), gate.pass()], [Passage::AsProbe, Passage::None]);
    gate.set(GateState::Open);
    gate.set(GateState::Restricted);
    assert_eq!(gate.pass(), Passage::None);
}
