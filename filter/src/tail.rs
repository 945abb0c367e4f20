//! Adding to a message that nobody holds: the name behind what a transcoder has written.

use modelway_decision::rewrite::{Edit, Prefix, Tail};
use modelway_decision::{Dialect, Reply, Router};

use crate::host;
use crate::settle::answer;
use crate::stream::Action;

/// Adds to a message what its tail is to be, as it goes by.
pub(crate) fn add_tail(router: &Router, tail: &mut Tail, size: usize, end_of_stream: bool) -> Action {
    let done =
        tail.edit(size, end_of_stream, |range| host::request_body(range.start, range.len())).and_then(
            |edit| match edit {
                Edit::Keep => Ok(Action::Continue),
                Edit::Wait => Ok(Action::Pause),
                Edit::Refuse(reply) => {
                    answer(router, &reply);
                    Ok(Action::Pause)
                }
                Edit::Change(start, end) => {
                    if !end.is_empty() {
                        host::append_request_body(size, &end)?;
                    }
                    if let Some(Prefix { replaces, with }) = start {
                        host::replace_request_body_start(replaces, &with)?;
                    }
                    Ok(Action::Continue)
                }
            },
        );
    done.unwrap_or_else(|refused| {
        host::error(&format!("the gateway does not take an edit of the body ({refused})"));
        let reply = Reply::internal("the gateway could not apply the routing decision");
        answer(router, &reply.in_dialect(Dialect::Grpc));
        Action::Pause
    })
}
