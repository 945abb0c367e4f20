use super::*;
use proptest::prelude::*;

fn check(stock: &Stock<u32>, expected: &BTreeMap<String, u32>) {
    assert!(stock.iter().eq(expected));
    assert_eq!((stock.len(), stock.is_empty()), (expected.len(), expected.is_empty()));
    assert!(stock.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= LARGEST));
}

proptest! {
    #[test]
    fn it_is_a_map_whose_snapshots_do_not_change(
        start in prop::collection::btree_map("[a-c]{1,4}", 0..9_u32, 0..100),
        changes in prop::collection::vec(("[a-c]{0,4}", any::<bool>()), 0..800),
    ) {
        let mut expected = start.clone();
        let mut stock = Stock::from(start.clone());
        let first = Stock { chunks: stock.chunks.clone() };
        for (number, (name, is_added)) in (0..).zip(&changes) {
            if *is_added {
                expected.insert(name.clone(), number);
                stock = stock.with(name, number);
            } else {
                let without = stock.without(name);
                prop_assert_eq!(without.as_ref().map(|(_, value)| *value), expected.remove(name));
                if let Some((changed, _)) = without {
                    stock = changed;
                }
            }
            prop_assert_eq!(stock.get(name), expected.get(name));
        }
        check(&stock, &expected);
        check(&first, &start);
        for name in ["", "b", "bb", "cccc", "d"] {
            let (below, above) = stock.around(name);
            prop_assert!(below.eq(expected.keys().rev().filter(|other| other.as_str() < name)));
            prop_assert!(above.eq(expected.keys().filter(|other| other.as_str() >= name)));
        }
    }
}

#[test]
fn thousands_of_names_are_added_and_removed_in_any_order() {
    let names: Vec<String> = (0..5_000_u32).map(|number| format!("model-{:05}", number * 3_571 % 5_000)).collect();
    let (mut stock, mut expected) = (Stock::default(), BTreeMap::new());
    for (number, name) in (0..).zip(&names) {
        stock = stock.with(name, number);
        expected.insert(name.clone(), number);
    }
    check(&stock, &expected);
    check(&Stock::from(expected.clone()), &expected);
    for name in &names {
        stock = stock.without(name).map(|(stock, _)| stock).unwrap_or_default();
    }
    check(&stock, &BTreeMap::new());
}

#[test]
fn a_change_copies_one_chunk_and_shares_the_others() {
    let all: BTreeMap<String, u32> = (0..20_000).map(|number| (format!("{number:05}"), number)).collect();
    let stock = Stock::from(all);
    let is_shared = |changed: &Stock<u32>| {
        let is_old = |chunk: &&Arc<BTreeMap<String, u32>>| stock.chunks.iter().any(|old| Arc::ptr_eq(old, chunk));
        changed.chunks.iter().filter(is_old).count() + 1 == stock.chunks.len()
    };
    assert!(is_shared(&stock.with("12345", 0)));
    assert!(is_shared(&stock.with("123456", 0)));
    assert!(stock.without("00000").is_some_and(|(changed, _)| is_shared(&changed)));
}
