//! Requests as HTTP/1 text: a line, headers, an empty line, the body.

#[cfg(test)]
mod tests;

use anyhow::Context;

use super::{Request, header_of};

/// Reads a request; `> ` before each line, and what else `curl -v` tells, is left out.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Request> {
    let is_of_curl = bytes.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"> "));
    let (head, body) = if is_of_curl { (sent_by_curl(bytes), Vec::new()) } else { head_and_body(bytes) };
    let head = String::from_utf8(head).context("the headers are no UTF-8 text")?;
    let mut lines = head.lines().map(str::trim_end);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        anyhow::bail!("expected a line such as `POST /v2/models/iris/infer HTTP/1.1`, got '{first}'");
    };
    let mut request = Request::new(method, path);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = header_of(line)?;
        request.add_header(name, value)?;
    }
    request.body = body;
    Ok(request)
}

/// The lines that curl marks as sent; it does not show the body.
fn sent_by_curl(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"> "));
    lines.map(<[u8]>::trim_ascii_end).collect::<Vec<_>>().join(&b'\n')
}

fn head_and_body(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let found = ends.iter().filter_map(|end| {
        let at = bytes.windows(end.len()).position(|window| window == *end)?;
        Some((at, at + end.len()))
    });
    match found.min() {
        Some((head_end, body_start)) => {
            (bytes.get(..head_end).unwrap_or_default().to_vec(), bytes.get(body_start..).unwrap_or_default().to_vec())
        }
        None => (bytes.to_vec(), Vec::new()),
    }
}
