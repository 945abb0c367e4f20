//! The models that `make_models.py` has made, and what each of them must answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::question::{Question, Rows};

/// Bytes of one picture.
const PICTURE: usize = 64;

/// The folder of bare files in that of the script.
const MODELS: &str = "models";

/// All models, and the pictures that they are asked about.
pub(crate) struct Models {
    folder: PathBuf,
    names: Vec<String>,
    file_bytes: Vec<u64>,
    rows: Arc<Rows>,
    /// Pictures that there are.
    pictures: usize,
    /// The digit that each model sees in each picture.
    answers: Vec<u8>,
    /// The same of the large model.
    large_answers: Vec<u8>,
}

// === impl Models ===

impl Models {
    /// From the folder that the script has filled.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read {}: `make mesh-models` makes it", path.display()))
        };
        let count: usize = String::from_utf8(read("count")?)?.trim().parse()?;
        let read_pictures = read("pictures.u8")?;
        let (pictures, _) = read_pictures.as_chunks::<PICTURE>();
        let rows: Vec<Vec<f32>> = pictures.iter().map(|picture| picture.map(f32::from).to_vec()).collect();
        let pictures = rows.len();
        let (answers, large_answers) = (read("answers.u8")?, read("large.u8")?);
        ensure!(answers.len() == count * pictures, "{} is not of {count} models", folder.display());
        ensure!(large_answers.len() == pictures, "large.u8 is not of {pictures} pictures");
        let names: Vec<String> = (0..count).map(|number| format!("m{number:05}")).collect();
        let bytes_of = |name: &String| {
            let path = folder.join(MODELS).join(name).with_extension("joblib");
            Ok(std::fs::metadata(&path).with_context(|| format!("{} is gone", path.display()))?.len())
        };
        let file_bytes = names.iter().map(bytes_of).collect::<Result<_>>()?;
        Ok(Self {
            folder: folder.to_owned(),
            names,
            file_bytes,
            rows: Arc::new(Rows::new(&rows)),
            pictures,
            answers,
            large_answers,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// The folder of bare files.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.join(MODELS)
    }

    /// The file of a model whose load takes long.
    pub(crate) fn large_file(&self) -> PathBuf {
        self.folder.join("large.joblib")
    }

    pub(crate) fn name(&self, model: usize) -> &str {
        self.names.get(model).map_or("", String::as_str)
    }

    /// Bytes of each model's file.
    pub(crate) fn file_bytes(&self) -> &[u64] {
        &self.file_bytes
    }

    /// How many pictures there are.
    pub(crate) fn pictures(&self) -> usize {
        self.pictures
    }

    /// The pictures, as they are asked about.
    pub(crate) fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// What the model sees in this picture: a label that no other model has.
    pub(crate) fn question(&self, model: usize, picture: usize) -> Option<Question> {
        let digit = *self.answers.get(model * self.pictures + picture)?;
        let answer = i64::try_from(usize::from(digit) * self.count() + model).ok()?;
        Some(Question { model: self.name(model).to_owned(), row: picture, answer })
    }

    /// The same for the large model, which may have any name.
    pub(crate) fn large_question(&self, name: String, picture: usize) -> Option<Question> {
        let answer = self.large_answers.get(picture).copied().map(i64::from)?;
        Some(Question { model: name, row: picture, answer })
    }
}
