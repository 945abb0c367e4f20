//! Tensors of GGUF files, by the names and in the order of rows that Hugging Face's libraries have.
//!
//! llama.cpp's converter renames, and for two architectures it moves rows: of Llama's queries and keys, whose pairs of
//! rotated values stand side by side in its files and half a head apart in ours; and of BLOOM's one layer for queries,
//! keys and values, which stand head by head in ours and one behind the other in its files.

use std::io;

use modelway_kernels::Precision;

use crate::formats::language::config::{Config, Names, QueryKeyValue, Widen};
use crate::formats::language::gguf::Tensor;

/// A tensor in a file.
pub(super) struct Stored {
    tensor: Tensor,
    order: Order,
}

/// How rows stand in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    /// As ours.
    Same,
    /// Of each head of this width, the first value of each pair right before its second.
    Pairs(usize),
    /// All of the first part, all of the second …; ours has the parts of each head of this width together.
    Parts { parts: usize, width: usize },
}

/// What a tensor of the file is called here; `None` for those that only llama.cpp knows.
pub(super) fn name(names: &Names, theirs: &str) -> Option<String> {
    let (path, what) = theirs.rsplit_once('.')?;
    let [of_block, own] = match path.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((number, own)) => [format!("{}.{number}.", names.blocks), own.to_owned()],
        None => [String::new(), path.to_owned()],
    };
    let ours = if of_block.is_empty() { outside(names, &own) } else { inside(names, &own) };
    Some(format!("{of_block}{}.{what}", ours.filter(|ours| !ours.is_empty())?))
}

fn outside(names: &Names, theirs: &str) -> Option<&'static str> {
    match theirs {
        "token_embd" => Some(names.embedding),
        "token_embd_norm" => names.embedding_norm,
        "output_norm" => Some(names.last_norm),
        "output" => Some(names.head),
        _ => None,
    }
}

fn inside(names: &Names, theirs: &str) -> Option<&'static str> {
    match (theirs, &names.query_key_value, &names.widen) {
        ("attn_norm", ..) => Some(names.before_attention),
        ("attn_q", QueryKeyValue::Three([query, ..]), _) => Some(query),
        ("attn_k", QueryKeyValue::Three([_, key, _]), _) => Some(key),
        ("attn_v", QueryKeyValue::Three([.., value]), _) => Some(value),
        ("attn_qkv", QueryKeyValue::ByHead(all) | QueryKeyValue::Fused(all), _) => Some(all),
        ("attn_q_norm", ..) => names.head_norms.first().copied(),
        ("attn_k_norm", ..) => names.head_norms.last().copied(),
        ("attn_output", ..) => Some(names.attention_out),
        ("post_attention_norm", ..) => names.after_attention,
        ("ffn_norm", ..) => names.before_mlp,
        ("ffn_gate", _, Widen::Gated([gate, _])) => Some(gate),
        ("ffn_up", _, Widen::Gated([_, up])) => Some(up),
        ("ffn_up", _, Widen::Plain(all) | Widen::Fused(all)) => Some(all),
        ("ffn_down", ..) => Some(names.narrow),
        ("post_ffw_norm", ..) => names.after_mlp,
        _ => None,
    }
}

// === impl Stored ===

impl Stored {
    /// A tensor that has this name in its file, of a model of this architecture.
    pub(super) fn new(tensor: Tensor, theirs: &str, architecture: &str, config: &Config) -> Self {
        let is = |name: &str| theirs.strip_prefix("blk.").and_then(|rest| rest.split('.').nth(1)) == Some(name);
        let order = match architecture {
            "llama" if is("attn_q") || is("attn_k") => Order::Pairs(config.head_width),
            "bloom" if is("attn_qkv") => Order::Parts { parts: 3, width: config.head_width },
            _ => Order::Same,
        };
        Self { tensor, order }
    }

    pub(super) fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    pub(super) fn precision(&self) -> Precision {
        self.tensor.kind().precision()
    }

    /// One row.
    pub(super) fn read_row(&self, row: usize, to: &mut [f32]) -> io::Result<()> {
        let rows = self.shape().first().copied().unwrap_or(1);
        self.tensor.read(self.order.place(row, rows) * to.len(), to)
    }

    /// All values, of a vector or of rows.
    pub(super) fn read(&self, to: &mut [f32]) -> io::Result<()> {
        let rows = self.shape().first().copied().unwrap_or(1);
        if self.order == Order::Same {
            return self.tensor.read(0, to);
        }
        let mut stored = vec![0.0; to.len()];
        self.tensor.read(0, &mut stored)?;
        let width = (to.len() / rows.max(1)).max(1);
        for (row, to) in to.chunks_mut(width).enumerate() {
            let start = self.order.place(row, rows) * width;
            to.copy_from_slice(stored.get(start..start + width).ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(())
    }
}

// === impl Order ===

impl Order {
    /// Where our row stands among those of the file.
    fn place(self, row: usize, rows: usize) -> usize {
        match self {
            Self::Same => row,
            Self::Pairs(width) => {
                let (head, value) = (row / width, row % width);
                let half = width / 2;
                head * width + 2 * (value % half.max(1)) + value / half.max(1)
            }
            Self::Parts { parts, width } => {
                let (head, inside) = (row / (parts * width), row % (parts * width));
                (inside / width) * (rows / parts) + head * width + inside % width
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn rows_that_were_moved_are_found_where_they_went() {
        let places = |order: Order, rows: usize| (0..rows).map(|row| order.place(row, rows)).collect::<Vec<_>>();
        assert_eq!(places(Order::Same, 3), [0, 1, 2]);
        // Two heads of six: [0 2 4 | 1 3 5].
        assert_eq!(places(Order::Pairs(6), 12), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        // Two heads of two: q0 k0 v0 q1 k1 v1 of q0 q1 k0 k1 v0 v1.
        assert_eq!(places(Order::Parts { parts: 3, width: 2 }, 12), [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
    }
}
