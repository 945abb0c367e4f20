//! A request through the router, by the same steps as the filter takes.

use modelway_decision::{Route, Router, Start};

use crate::request::Request;

/// How much of a body a decision took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Looked {
    /// The headers told all.
    AtHeaders,
    /// So many bytes of the body were read.
    AtBody(usize),
}

/// Decides and hands the route to `tell`. `random` is the draw of a request without a key.
pub(crate) fn decide<T>(
    router: &Router,
    request: &Request,
    random: u64,
    tell: impl FnOnce(&Route<'_>, Looked) -> T,
) -> T {
    match router.start(&request.head, !request.body.is_empty(), random) {
        Start::Known(route) => tell(&route, Looked::AtHeaders),
        Start::Read(mut peek) => {
            router.read(&request.head, &mut peek, &request.body);
            let looked = Looked::AtBody(peek.taken());
            tell(&router.finish(&request.head, Some(&*peek), random), looked)
        }
    }
}
