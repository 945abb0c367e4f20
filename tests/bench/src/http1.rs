//! What a client of HTTP/1.1 needs to know of an answer.

/// Where the head of a message ends, once all of it is there.
pub fn head_end(received: &[u8]) -> Option<usize> {
    received.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

/// The length of the body behind a head that names it in lower case.
pub fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    value.trim().parse().ok()
}
