//! `modelway schema`: the JSON Schema of a mesh file, and the page of documentation made from it.

mod markdown;

use clap::ValueEnum;
use schemars::Schema;

use crate::mesh_file::MeshFile;

/// Arguments of `modelway schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is written.
    #[arg(long, value_enum, default_value_t = Form::Json)]
    form: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// The JSON Schema, for editors and checks.
    Json,
    /// A page for people.
    Markdown,
}

/// Prints the schema.
#[allow(clippy::print_stdout)]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    print!("{}", written(args.form)?);
    Ok(())
}

fn written(form: Form) -> anyhow::Result<String> {
    let schema = mesh_file_schema();
    Ok(match form {
        Form::Json => format!("{}\n", serde_json::to_string_pretty(&schema)?),
        Form::Markdown => markdown::page(schema.as_value()),
    })
}

fn mesh_file_schema() -> Schema {
    schemars::schema_for!(MeshFile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_and_page_are_those_of_the_types() {
        for (form, file) in [(Form::Json, "modelway.schema.json"), (Form::Markdown, "configuration.md")] {
            let path = format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == written(form).unwrap(), "docs/{file} is out of step with the types: run `make docs`");
        }
    }
}
