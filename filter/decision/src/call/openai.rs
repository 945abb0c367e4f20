//! The paths of OpenAI's protocol.

/// Operations below `/v1/` whose JSON body names the model: OpenAI's own, and what vLLM and others
/// serve beside them. Multipart bodies, as audio has them, are told by their content type.
const OPERATIONS: [&[&[u8]]; 16] = [
    &[b"chat", b"completions"],
    &[b"completions"],
    &[b"embeddings"],
    &[b"responses"],
    &[b"rerank"],
    &[b"score"],
    &[b"classify"],
    &[b"pooling"],
    &[b"messages"],
    &[b"moderations"],
    &[b"audio", b"speech"],
    &[b"audio", b"transcriptions"],
    &[b"audio", b"translations"],
    &[b"images", b"generations"],
    &[b"images", b"edits"],
    &[b"images", b"variations"],
];

/// Whether these segments are `v1` and an operation.
pub(super) fn is_operation(segments: &[&[u8]]) -> bool {
    let Some((v1, operation)) = segments.split_first() else { return false };
    *v1 == b"v1" && OPERATIONS.contains(&operation)
}

/// Whether what is wrong with this path is told in OpenAI's words.
pub(crate) fn is_openai_path(path: &[u8]) -> bool {
    path.starts_with(b"/openai/") || (path.starts_with(b"/v1/") && !path.starts_with(b"/v1/models"))
}
