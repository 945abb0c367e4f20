//! What `explain` tells people.

use super::{Explained, Outcome, Routed};

/// The explanation in lines.
pub(super) fn text(explained: &Explained) -> String {
    let looked = match explained.tier {
        "body" => format!("body: {} of {} bytes read", explained.body_bytes_read, explained.body_bytes),
        _ => "header: the body is not looked at".to_owned(),
    };
    let mut lines = vec![explained.request.clone(), line("tier", &looked)];
    match &explained.outcome {
        Outcome::Passes => lines.push(line("decision", "it goes on as it is: no call for a model that could be read")),
        Outcome::Answered { status, grpc_status, message } => {
            lines.push(line("decision", &format!("the gateway answers {status} (gRPC {grpc_status}): {message}")));
        }
        Outcome::Routed(routed) => lines.extend(of_routed(routed)),
    }
    lines.join("\n") + "\n"
}

fn of_routed(routed: &Routed) -> Vec<String> {
    let decision = match &routed.variant {
        Some(variant) => format!("variant {variant} of {}", routed.model),
        None => format!("{}, which is not listed", routed.model),
    };
    let mut lines = vec![line("decision", &decision)];
    let rules = if routed.rules.is_empty() { String::new() } else { format!(" ({})", routed.rules.join(" or ")) };
    lines.push(line("reason", &format!("{}{rules}", routed.because)));
    if let Some(draw) = &routed.draw {
        let by = match &routed.key {
            Some(key) => format!("by {key}"),
            None => "at random: the request has no key, the next one may get another variant".to_owned(),
        };
        lines.push(line("draw", &format!("{draw}, {by}")));
    }
    if let Some(avoided) = &routed.avoided {
        lines.push(line("braked", &format!("{avoided} would have got it")));
    }
    lines.push("to the upstream".to_owned());
    let width = routed.headers.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in &routed.headers {
        lines.push(format!("  {name:<width$}  {}", value.as_str().unwrap_or_default()));
    }
    if routed.rewrites_message {
        lines.push("  and name and version in the message".to_owned());
    }
    if let Some(cookie) = &routed.set_cookie {
        lines.push("to the client".to_owned());
        lines.push(format!("  set-cookie  {cookie}"));
    }
    lines
}

fn line(name: &str, value: &str) -> String {
    format!("  {name:<8}  {value}")
}
