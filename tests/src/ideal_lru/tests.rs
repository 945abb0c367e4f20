//! By hand, and against a cache that is slow and obvious.

use super::*;
use crate::zipf::Zipf;

fn asked(lru: &mut IdealLru, requests: &[(usize, u64)]) -> Vec<bool> {
    requests.iter().map(|&(model, bytes)| lru.ask(model, bytes)).collect()
}

#[test]
fn the_longest_unused_makes_way() {
    let mut lru = IdealLru::new(3);
    assert_eq!(
        asked(&mut lru, &[(1, 1), (2, 1), (3, 1), (1, 1), (4, 1), (2, 1), (1, 1)]),
        [false, false, false, true, false, false, true]
    );
    assert_eq!(lru.used(), 3);
    assert!((lru.hit_ratio() - 2.0 / 7.0).abs() < 1e-12);
}

#[test]
fn a_large_model_takes_the_room_of_several_and_one_that_is_too_large_takes_none() {
    let mut lru = IdealLru::new(10);
    assert_eq!(
        asked(&mut lru, &[(1, 4), (2, 4), (3, 9), (1, 4), (4, 11), (1, 4), (4, 11)]),
        [false, false, false, false, false, true, false]
    );
    assert_eq!(lru.used(), 4);
}

#[test]
fn a_model_that_has_grown_is_a_hit_and_has_its_new_size() {
    let mut lru = IdealLru::new(10);
    assert_eq!(asked(&mut lru, &[(1, 2), (2, 2), (1, 9), (2, 2)]), [false, false, true, false]);
}

#[test]
fn what_was_asked_in_a_warm_up_is_there_and_not_counted() {
    let mut lru = IdealLru::new(2);
    asked(&mut lru, &[(1, 1), (2, 1)]);
    lru.count_from_here();
    assert_eq!(lru.hit_ratio(), 0.0);
    assert_eq!(asked(&mut lru, &[(1, 1), (3, 1)]), [true, false]);
    assert_eq!(lru.hit_ratio(), 0.5);
}

#[test]
fn it_does_what_a_list_does() {
    let bytes = |model: usize| 1 + (model * model % 97) as u64;
    let (mut lru, mut list) = (IdealLru::new(1000), Vec::<usize>::new());
    for model in Zipf::new(300, 0.9, 1).take(5000) {
        let place = list.iter().position(|&other| other == model);
        let is_hit = place.map(|place| list.remove(place)).is_some();
        list.push(model);
        while list.iter().map(|&model| bytes(model)).sum::<u64>() > 1000 {
            list.remove(0);
        }
        assert_eq!(lru.ask(model, bytes(model)), is_hit);
    }
    assert!(lru.hit_ratio() > 0.2 && lru.hit_ratio() < 0.9, "{}", lru.hit_ratio());
}
