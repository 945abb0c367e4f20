//! Files for tests: a real one with other metadata, in parts, or of tensors that stand elsewhere.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::formats::language::gguf::{Gguf, Value};

const ALIGNMENT: usize = 32;

/// What a file is to have.
pub(super) struct Written {
    metadata: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

struct Tensor {
    name: String,
    /// Columns first, as in the file.
    shape: Vec<u64>,
    kind: u32,
    bytes: Vec<u8>,
}

/// A file that goes when this does.
pub(super) struct Kept {
    pub(super) file: PathBuf,
    _folder: TempDir,
}

// === impl Written ===

impl Written {
    /// As this file.
    pub(super) fn of(path: &Path) -> Self {
        let gguf = Gguf::open(path).unwrap();
        let file = std::fs::File::open(path).unwrap();
        let tensors = gguf.tensors.iter().map(|(name, tensor)| {
            let (kind, at, length) = tensor.stored();
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, at).unwrap();
            let shape = tensor.shape().iter().rev().map(|dimension| *dimension as u64).collect();
            Tensor { name: name.clone(), shape, kind, bytes }
        });
        Self { tensors: tensors.collect(), metadata: gguf.metadata.into_iter().collect() }
    }

    /// The tensors of a folder, of Llama's with the rows of queries and keys moved.
    pub(super) fn of_safetensors(folder: &Path, architecture: &str) -> Kept {
        let config: Json = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        let number = |name: &str| config[name].as_u64().unwrap();
        let key = |name: &str| format!("{architecture}.{name}");
        let whole = |name: &str, of: &str| (key(name), Value::Whole(number(of).into()));
        let tokens = (0..number("vocab_size")).map(|id| format!("t{id}")).collect::<Vec<_>>();
        let (rms, theta) = (config["rms_norm_eps"].as_f64().unwrap(), &config["rope_parameters"]["rope_theta"]);
        let mut metadata = vec![
            ("general.architecture".to_owned(), Value::Text(architecture.to_owned())),
            whole("embedding_length", "hidden_size"),
            whole("block_count", "num_hidden_layers"),
            whole("feed_forward_length", "intermediate_size"),
            whole("attention.head_count", "num_attention_heads"),
            whole("attention.head_count_kv", "num_key_value_heads"),
            whole("context_length", "max_position_embeddings"),
            (key("attention.layer_norm_rms_epsilon"), Value::Float(rms)),
            (key("rope.freq_base"), Value::Float(theta.as_f64().unwrap())),
            ("tokenizer.ggml.model".to_owned(), Value::Text("gpt2".to_owned())),
            ("tokenizer.ggml.pre".to_owned(), Value::Text("gpt-2".to_owned())),
            ("tokenizer.ggml.tokens".to_owned(), Value::Texts(tokens)),
            ("tokenizer.ggml.merges".to_owned(), Value::Texts(Vec::new())),
        ];
        if let Some(width) = config["head_dim"].as_u64() {
            metadata.extend(
                ["key", "value"].map(|name| (key(&format!("attention.{name}_length")), Value::Whole(width.into()))),
            );
        }
        let rope = &config["rope_parameters"];
        if rope["rope_type"] == "yarn" {
            metadata.push((key("rope.scaling.type"), Value::Text("yarn".to_owned())));
            let context = rope["original_max_position_embeddings"].as_u64().unwrap();
            metadata.push((key("rope.scaling.original_context_length"), Value::Whole(context.into())));
            for (name, of) in [("factor", "factor"), ("yarn_beta_fast", "beta_fast")] {
                metadata.push((key(&format!("rope.scaling.{name}")), Value::Float(rope[of].as_f64().unwrap())));
            }
        }
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors = read.tensors().into_iter().map(|(name, view)| {
            let own = theirs(&name);
            let row = view.data().len() / view.shape()[0];
            let mut rows: Vec<&[u8]> = view.data().chunks(row).collect();
            if architecture == "llama" && (own.contains("attn_q.") || own.contains("attn_k.")) {
                let width = (number("hidden_size") / number("num_attention_heads")) as usize;
                rows = (0..rows.len())
                    .map(|at| rows[at / width * width + at % width % 2 * (width / 2) + at % width / 2])
                    .collect();
            }
            let shape = view.shape().iter().rev().map(|dimension| *dimension as u64).collect();
            Tensor { name: own, shape, kind: 0, bytes: rows.concat() }
        });
        Self { tensors: tensors.collect(), metadata }.written()
    }

    /// The same with a text, flag, whole number or list of texts for this key; without it for null.
    pub(super) fn with(mut self, key: &str, value: Json) -> Self {
        self.metadata.retain(|(own, _)| own != key);
        let value = match value {
            Json::Null => return self,
            Json::Bool(flag) => Value::Flag(flag),
            Json::String(text) => Value::Text(text),
            Json::Number(number) if number.is_f64() => Value::Float(number.as_f64().unwrap()),
            Json::Number(number) => Value::Whole(number.as_i64().unwrap().into()),
            Json::Array(items) if items.iter().all(Json::is_string) => {
                Value::Texts(items.iter().map(|item| item.as_str().unwrap().to_owned()).collect())
            }
            Json::Array(items) => Value::Numbers(items.iter().map(|item| item.as_f64().unwrap()).collect()),
            Json::Object(_) => panic!("{value}"),
        };
        self.metadata.push((key.to_owned(), value));
        self
    }

    /// The same with a tensor called otherwise, or without it.
    pub(super) fn renamed(mut self, name: &str, to: Option<&str>) -> Self {
        assert!(self.tensors.iter().any(|tensor| tensor.name == name), "{name}");
        match to {
            None => self.tensors.retain(|tensor| tensor.name != name),
            Some(to) => {
                self.tensors.iter_mut().filter(|tensor| tensor.name == name).for_each(|tensor| tensor.name = to.into());
            }
        }
        self
    }

    /// The same with a tensor said to be of another of ggml's types.
    pub(super) fn of_kind(mut self, name: &str, kind: u32) -> Self {
        self.tensors.iter_mut().filter(|tensor| tensor.name == name).for_each(|tensor| tensor.kind = kind);
        self
    }

    pub(super) fn written(&self) -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tiny.gguf");
        std::fs::write(&file, bytes(&self.metadata, &self.tensors)).unwrap();
        Kept { file, _folder: folder }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        bytes(&self.metadata, &self.tensors)
    }

    /// As `tiny-00001-of-…` and so on.
    pub(super) fn in_parts(self, count: usize) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let all = self.tensors.len();
        let mut metadata = self.metadata;
        for (number, tensors) in self.tensors.chunks(all.div_ceil(count)).enumerate() {
            let whole = |name: &str, value: usize| (format!("split.{name}"), Value::Whole(value as i128));
            metadata.extend([whole("no", number), whole("count", count), whole("tensors.count", all)]);
            let name = format!("tiny-{:05}-of-{count:05}.gguf", number + 1);
            std::fs::write(folder.path().join(name), bytes(&metadata, tensors)).unwrap();
            metadata = Vec::new();
        }
        folder
    }
}

fn theirs(name: &str) -> String {
    let names = [
        ("model.", ""),
        ("layers.", "blk."),
        ("embed_tokens", "token_embd"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    let named = names.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs));
    if named == "norm.weight" { "output_norm.weight".to_owned() } else { named }
}

fn bytes(metadata: &[(String, Value)], tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut bytes, key);
        put(&mut bytes, value);
    }
    let mut at = 0;
    for tensor in tensors {
        put_text(&mut bytes, &tensor.name);
        bytes.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().for_each(|dimension| bytes.extend(dimension.to_le_bytes()));
        bytes.extend(tensor.kind.to_le_bytes());
        bytes.extend((at as u64).to_le_bytes());
        at += tensor.bytes.len().next_multiple_of(ALIGNMENT);
    }
    for tensor in tensors {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(&tensor.bytes);
    }
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn put(bytes: &mut Vec<u8>, value: &Value) {
    let number = |bytes: &mut Vec<u8>, kind: u32| bytes.extend(kind.to_le_bytes());
    let list = |bytes: &mut Vec<u8>, kind: u32, count: usize| {
        number(bytes, 9);
        number(bytes, kind);
        bytes.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::Whole(whole) => {
            number(bytes, 11);
            bytes.extend(i64::try_from(*whole).unwrap().to_le_bytes());
        }
        Value::Float(float) => {
            number(bytes, 12);
            bytes.extend(float.to_le_bytes());
        }
        Value::Flag(flag) => {
            number(bytes, 7);
            bytes.push(u8::from(*flag));
        }
        Value::Text(text) => {
            number(bytes, 8);
            put_text(bytes, text);
        }
        Value::Numbers(numbers) => {
            list(bytes, 12, numbers.len());
            numbers.iter().for_each(|float| bytes.extend(float.to_le_bytes()));
        }
        Value::Flags(flags) => {
            list(bytes, 7, flags.len());
            bytes.extend(flags.iter().map(|flag| u8::from(*flag)));
        }
        Value::Texts(texts) => {
            list(bytes, 8, texts.len());
            texts.iter().for_each(|text| put_text(bytes, text));
        }
    }
}

#[test]
fn what_is_written_again_is_the_same_model() {
    let path = super::file("llama");
    let again = Written::of(&path).with("nobody.knows", json!([1, 2])).written();
    let (one, other) = (Gguf::open(&path).unwrap(), Gguf::open(&again.file).unwrap());
    assert_eq!(one.metadata.len() + 1, other.metadata.len());
    for name in one.tensors.keys() {
        assert_eq!(one.values(name).unwrap(), other.values(name).unwrap(), "{name}");
    }
}
