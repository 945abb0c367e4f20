//! Which files are a model: one, or several called `…-00001-of-00003.gguf`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::header::MAGIC;
use crate::formats::LoadError;

const ENDING: &str = ".gguf";
/// What a model's eyes and ears are called, which stand beside it and are not served.
const PROJECTOR: &str = "mmproj";
/// Digits of a part's number.
const DIGITS: usize = 5;

/// Bits a weight, with scales, of what files are called by. Some of their tensors have more.
const BITS: [(&str, f64); 15] = [
    ("Q2_K", 3.0),
    ("Q3_K", 3.9),
    ("Q4_0", 4.5),
    ("Q4_1", 5.0),
    ("Q4_K", 4.8),
    ("Q5_0", 5.5),
    ("Q5_1", 6.0),
    ("Q5_K", 5.7),
    ("Q6_K", 6.6),
    ("Q8_0", 8.5),
    ("BF16", 16.0),
    ("F16", 16.0),
    ("FP16", 16.0),
    ("F32", 32.0),
    ("FP32", 32.0),
];

/// Whether a file of this name is a model, or the first of a model's files.
pub(in crate::formats::language) fn is_file_name(name: &str) -> bool {
    let is_model = name.ends_with(ENDING) && name.len() > ENDING.len() && !name.contains(PROJECTOR);
    is_model && numbered(name).is_none_or(|(_, number, _)| number == 1)
}

/// Whether files of these names are one model.
pub(in crate::formats::language) fn is_folder_of_one(names: &[&str]) -> bool {
    names.iter().filter(|name| is_file_name(name)).count() == 1
}

/// The model's file, first of several: the path itself, or the only one in the folder.
pub(in crate::formats::language) fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        let is_named = path.file_name().and_then(|name| name.to_str()).is_some_and(is_file_name);
        return (is_named || has_magic(path)).then(|| path.to_owned());
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let mut models = names.iter().filter(|name| is_file_name(name));
    match (models.next(), models.next()) {
        (Some(name), None) => Some(path.join(name)),
        _ => None,
    }
}

/// That the model at this path is no single one of several files: what belongs to it would be neither watched, nor counted,
/// nor downloaded. A folder has all of them.
pub(in crate::formats::language) fn check_whole(path: &Path) -> Result<(), LoadError> {
    match path.file_name().and_then(|name| name.to_str()).and_then(numbered) {
        Some((stem, _, count)) if count > 1 && !path.is_dir() => Err(LoadError::Unsupported(format!(
            "{} is one of {count} files: put all of them, and no other model, into a folder such as {stem}, and name that",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Bits a weight of the model at this path, by what its file is called.
pub(in crate::formats::language) fn bits(path: &Path) -> Option<f64> {
    let named = path.extension().is_some_and(|extension| extension == "gguf");
    let file = if named { path.to_owned() } else { find(path)? };
    let name = file.file_stem()?.to_str()?.to_uppercase();
    let (_, bits) = BITS.iter().find(|(kind, _)| name.contains(kind))?;
    Some(*bits)
}

/// The file of this number, from 0, beside the first of so many.
pub(super) fn part(first: &Path, number: usize, count: usize) -> Option<PathBuf> {
    let (stem, _, of) = numbered(first.file_name()?.to_str()?)?;
    let name = format!("{stem}-{:0DIGITS$}-of-{count:0DIGITS$}{ENDING}", number + 1);
    (of == count).then(|| first.with_file_name(name))
}

/// `stem-00001-of-00003.gguf`: the stem, which and of how many.
fn numbered(name: &str) -> Option<(&str, usize, usize)> {
    let (rest, count) = name.strip_suffix(ENDING)?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let read = |text: &str| if text.len() == DIGITS { text.parse().ok() } else { None };
    Some((stem, read(number)?, read(count)?))
}

fn has_magic(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{bits, check_whole, is_file_name, is_folder_of_one, part};

    #[test]
    fn the_first_of_several_files_is_the_model_and_a_projector_none() {
        assert!(is_file_name("llama-3-8b-Q4_K_M.gguf") && is_file_name("a-00001-of-00003.gguf"));
        for name in ["a-00002-of-00003.gguf", "mmproj-model-f16.gguf", ".gguf", "model.safetensors", "a.gguf.part"] {
            assert!(!is_file_name(name), "{name}");
        }
        assert!(is_folder_of_one(&["README.md", "mmproj-f16.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]));
        assert!(!is_folder_of_one(&["a-Q4_0.gguf", "a-Q8_0.gguf"]) && !is_folder_of_one(&[]));
        let next = part(Path::new("/m/a-00001-of-00003.gguf"), 2, 3);
        assert_eq!(next.as_deref(), Some(Path::new("/m/a-00003-of-00003.gguf")));
        assert_eq!(part(Path::new("/m/a-00001-of-00003.gguf"), 2, 4), None);
    }

    #[test]
    fn one_of_several_files_is_refused_with_where_to_put_all_of_them() {
        for name in ["a-00001-of-00003.gguf", "a-00002-of-00003.gguf"] {
            let error = check_whole(&Path::new("/nowhere").join(name)).unwrap_err().to_string();
            let expected = format!(
                "/nowhere/{name} is one of 3 files: put all of them, and no other model, into a folder such as a, and name that"
            );
            assert_eq!(error, expected);
        }
        for name in ["a-00001-of-00001.gguf", "a.gguf", "folder"] {
            check_whole(&Path::new("/nowhere").join(name)).unwrap();
        }
    }

    #[test]
    fn a_name_says_how_many_bits_a_weight_has() {
        assert_eq!(bits(Path::new("nowhere/gemma-2-2b-it-q4_k_m.gguf")), Some(4.8));
        assert_eq!(bits(Path::new("nowhere/Qwen3-BF16-00001-of-00002.gguf")), Some(16.0));
        assert_eq!(bits(Path::new("nowhere/model.gguf")), None);
        assert_eq!(bits(Path::new("nowhere/model-q4_0.safetensors")), None);
    }
}
