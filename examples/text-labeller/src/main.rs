//! A custom model type for Modelway: texts are labelled by the rules of a file, `models/tickets-v1.labels` for instance.
//!
//! This file is all that makes a model server of the model in `labeller.rs`; everything else of the program, its
//! protocols, commands and options, is `modelway`.

mod labeller;
mod rules;

use std::process::ExitCode;
use std::sync::Arc;

use modelway::runtime::formats::{Format, LoadError, ModelFiles};
use modelway::runtime::{Batched, Model};

use labeller::Labeller;
use rules::Rules;

/// Files that end in `.labels`, and models whose settings say `text_labels`.
struct TextLabels;

impl Format for TextLabels {
    fn name(&self) -> &'static str {
        "text_labels"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.is_format(self.name(), &["labels"])
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let rules = Rules::parse(&files.read_text()?).map_err(|error| files.malformed(error))?;
        Ok(Arc::new(Batched::new(Labeller::new(rules))))
    }
}

fn main() -> ExitCode {
    modelway::run([Arc::new(TextLabels) as Arc<dyn Format>])
}
