//! What `simulate` tells people.

use super::Simulated;
use super::movement::Movement;
use super::tally::{MISMATCH, Part, Share};

/// The report in lines.
pub(super) fn text(simulated: &Simulated) -> String {
    let mut lines = Vec::new();
    for share in &simulated.shares {
        lines.push(format!("{}, by {}: {}", share.model, share.by, requests(share.requests)));
        let width = share.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or_default();
        lines.extend(share.parts.iter().map(|part| line_of_part(part, width)));
        lines.extend(verdict(share));
    }
    for movement in simulated.movements.iter().flatten() {
        lines.extend(lines_of_movement(movement));
    }
    if simulated.passed > 0 {
        lines.push(format!("no calls for a model, which go on as they are: {}", requests(simulated.passed)));
    }
    if let Some(answer) = &simulated.first_answer {
        let number = requests(simulated.answered);
        lines.push(format!("answered by the gateway itself: {number}, the first with {answer}"));
    }
    lines.join("\n") + "\n"
}

fn line_of_part(part: &Part, width: usize) -> String {
    let meant = part.meant.map(|meant| format!("  meant {:>7.3} %", meant * 100.0)).unwrap_or_default();
    format!("  {:<width$}  {:>12}  {:>7.3} %{meant}", part.name, grouped(part.requests), part.share * 100.0)
}

fn verdict(share: &Share) -> Option<String> {
    let is_drawn = share.parts.iter().any(|part| part.meant.is_some());
    let Some(test) = share.test else { return is_drawn.then(|| "  too few requests for a χ² test".to_owned()) };
    let verdict = if share.mismatch {
        format!("a sample-ratio mismatch (p < {MISMATCH}): these are not the shares that were meant")
    } else {
        "no sample-ratio mismatch".to_owned()
    };
    let p = if test.p < 0.0001 { format!("{:.1e}", test.p) } else { format!("{:.4}", test.p) };
    let degrees = test.degrees_of_freedom;
    let freedom = if degrees == 1 { "degree" } else { "degrees" };
    Some(format!("  χ² {:.3}, {degrees} {freedom} of freedom, p = {p}: {verdict}", test.statistic))
}

fn lines_of_movement(movement: &Movement) -> Vec<String> {
    let percent = movement.moved as f64 / movement.users as f64 * 100.0;
    let mut lines = vec![format!(
        "{}: {} of {} move ({percent:.3} %)",
        movement.model,
        grouped(movement.moved),
        grouped(movement.users)
    )];
    let first = movement.variants.iter().map(|name| name.chars().count()).max().unwrap_or_default().max(9);
    let width = first.max(11);
    let columns: String = movement.variants.iter().map(|name| format!("  {name:>width$}")).collect();
    lines.push(format!("  {:<first$}{columns}", "from ╲ to"));
    for (name, row) in movement.variants.iter().zip(&movement.matrix) {
        let cells: String = row.iter().map(|count| format!("  {:>width$}", grouped(*count))).collect();
        lines.push(format!("  {name:<first$}{cells}"));
    }
    if movement.without_key > 0 {
        let number = grouped(movement.without_key);
        lines.push(format!("  {number} have no key: they are drawn anew for each request, whatever the configuration"));
    } else if movement.to_no_grower > 0 {
        let number = grouped(movement.to_no_grower);
        lines.push(format!(
            "  {number} move to variants that did not grow: a salt, a key or a variant's name has changed"
        ));
    } else {
        lines.push("  only variants that grew gained users".to_owned());
    }
    if movement.not_by_split > 0 {
        lines.push(format!("  {} move by rules, experiments or versions", grouped(movement.not_by_split)));
    }
    lines
}

/// `1 request`, `1,000 requests`.
fn requests(number: u64) -> String {
    format!("{} request{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
