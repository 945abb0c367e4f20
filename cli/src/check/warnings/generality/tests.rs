use serde_json::json;

use super::*;

#[track_caller]
fn assert_covers(general: &Value, special: &Value, expected: bool) {
    assert_eq!(covers(general, special), expected, "{general} over {special}");
}

#[test]
fn values_cover_those_that_they_take_in() {
    let exact = |value: &str| json!({"headers": [{"name": "X-Tier", "value": value}]});
    let prefix = |value: &str| json!({"headers": [{"name": "x-tier", "type": "Prefix", "value": value}]});
    let present = json!({"headers": [{"name": "x-tier", "type": "Present"}]});
    let several = json!({"headers": [{"name": "x-tier", "type": "In", "values": ["gold-1", "gold-2"]}]});
    let expression = json!({"headers": [{"name": "x-tier", "type": "RegularExpression", "value": "gold.*"}]});
    assert_covers(&prefix("gold-"), &exact("gold-1"), true);
    assert_covers(&prefix("gold-"), &several, true);
    assert_covers(&several, &exact("gold-2"), true);
    assert_covers(&present, &expression, true);
    assert_covers(&expression, &expression, true);
    assert_covers(&prefix("gold-"), &prefix("gold"), false);
    assert_covers(&several, &exact("gold-3"), false);
    assert_covers(&expression, &exact("gold-1"), false);
}

#[test]
fn fewer_conditions_cover_more_and_another_list_does_not() {
    let one = json!({"headers": [{"name": "a", "value": 1}]});
    let two = json!({"headers": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}], "methods": ["POST"]});
    assert_covers(&one, &two, true);
    assert_covers(&two, &one, false);
    assert_covers(&one, &json!({"cookies": [{"name": "a", "value": "1"}]}), false);
}

#[test]
fn lists_of_which_one_must_hold_cover_shorter_ones() {
    assert_covers(&json!({"methods": ["GET", "POST"]}), &json!({"methods": ["POST"]}), true);
    assert_covers(&json!({"methods": ["POST"]}), &json!({"methods": ["GET", "POST"]}), false);
    assert_covers(&json!({"hosts": ["*.example.com"]}), &json!({"hosts": ["*.a.example.com", "b.EXAMPLE.com"]}), true);
    assert_covers(&json!({"hosts": ["*.example.com"]}), &json!({"hosts": ["example.com"]}), false);
}

#[test]
fn what_must_not_hold_covers_the_other_way_round() {
    let narrow = json!({"headers": [{"name": "a", "value": "12"}]});
    let wide = json!({"headers": [{"name": "a", "type": "Prefix", "value": "1"}]});
    assert_covers(&json!({"not": narrow}), &json!({"not": wide}), true);
    assert_covers(&json!({"not": wide}), &json!({"not": narrow}), false);
    assert_covers(&json!({"not": narrow}), &json!({"methods": ["GET"]}), false);
}

#[test]
fn a_condition_that_is_not_known_is_covered_by_the_same_one_only() {
    assert_covers(&json!({"phase": "moon"}), &json!({"phase": "moon", "methods": ["GET"]}), true);
    assert_covers(&json!({"phase": "moon"}), &json!({"phase": "sun"}), false);
}
